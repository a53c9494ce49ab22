"""What makes the boxes of a submission unreadable, or names none of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from data_tools.coco.fractions import LARGEST_FRACTION, look_like_fractions
from data_tools.ground.errors import UserError
from data_tools.ground.findings import Finding
from data_tools.predictions.formats.catalogue import image_names
from data_tools.predictions.formats.subject import Subject, finding

Check = Callable[[Subject], Iterator[Finding]]


def unknown_images(subject: Subject) -> Iterator[Finding]:
    """Names that are no image of the dataset."""
    unknown = subject.raw.image_index < 0
    if unknown.any():
        expected = image_names(subject.format, subject.dataset)[0]
        yield finding(
            "error",
            "unknown_images",
            f"{{}} images are not in {subject.dataset.source}; names look like {expected!r}",
            subject.rows(unknown),
        )


def repeated_images(subject: Subject) -> Iterator[Finding]:
    """Images with more than one row, by whatever form of their name."""
    index = subject.raw.image_index.tolist()
    seen: set[int | str] = set()
    repeated = []
    for place, name in zip(index, subject.raw.names, strict=True):
        image = name if place < 0 else place
        if image in seen:
            repeated.append(name)
        seen.add(image)
    if repeated:
        message = "{} rows repeat an image that already has one"
        yield finding("error", "repeated_images", message, subject.names(repeated))


def missing_images(subject: Subject) -> Iterator[Finding]:
    """Images without a row."""
    missing = positions_without_row(subject)
    if missing:
        names = image_names(subject.format, subject.dataset)
        absent = [names[place] for place in missing]
        message = "{} images have no row; an image without boxes needs one too"
        yield finding("error", "missing_images", message, subject.names(absent))


def positions_without_row(subject: Subject) -> list[int]:
    """Return the positions of the images that have no row, where the format has one for each."""
    if subject.format.row_per != "image" and not subject.format.empty:
        return []
    present = set(subject.raw.image_index.tolist())
    return [place for place in range(len(subject.dataset.images)) if place not in present]


def broken_strings(subject: Subject) -> Iterator[Finding]:
    """Strings that do not divide into boxes."""
    per_box = max(len(subject.format.fields), 1)
    broken = subject.raw.field_counts % per_box != 0
    if subject.format.row_per == "image" and broken.any():
        message = f"{{}} rows do not divide into {per_box} numbers a box"
        yield finding("error", "broken_strings", message, subject.rows(broken))


def numbers(subject: Subject) -> Iterator[Finding]:
    """Texts that are no number, and numbers that are not finite."""
    raw = subject.raw
    if raw.not_a_number.any():
        message = "{} boxes have a text where a number should be"
        yield finding("error", "not_a_number", message, subject.boxes(raw.not_a_number))
    known = raw.image_index[raw.row_of_box] >= 0
    values = np.column_stack([raw.scores, raw.boxes_xyxy])
    infinite = ~np.isfinite(values).all(axis=1) & ~raw.not_a_number & known
    if infinite.any():
        message = "{} boxes have a number that is not finite"
        yield finding("error", "not_finite", message, subject.boxes(infinite))


def labels(subject: Subject) -> Iterator[Finding]:
    """Labels that are no class."""
    unknown = subject.raw.class_index < 0
    if unknown.any():
        message = f"{{}} boxes have a label that is no class of {subject.dataset.source}"
        yield finding("error", "unknown_labels", message, subject.boxes(unknown))


def scores(subject: Subject) -> Iterator[Finding]:
    """Scores outside [0, 1]."""
    scores = subject.raw.scores
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        message = "{} scores are not in [0, 1]"
        yield finding("error", "score_range", message, subject.boxes(outside))


def looks_normalised(subject: Subject) -> Iterator[Finding]:
    """Coordinates that look like fractions in a format of pixels."""
    boxes, sizes = subject.raw.boxes_xyxy, subject.dataset.sizes_wh
    finite = np.isfinite(boxes).all(axis=1)
    if not subject.format.normalised and look_like_fractions(boxes[finite], sizes):
        message = (
            "all {} boxes look like fractions of the image: they end within 2 pixels of its corner"
        )
        yield finding("error", "normalised", message, (len(boxes), ()))


def not_normalised(subject: Subject) -> Iterator[Finding]:
    """Coordinates that look like pixels in a format of fractions."""
    if not subject.format.normalised:
        return
    raw = subject.raw
    sides = np.tile(subject.dataset.sizes_wh[raw.image_index[raw.row_of_box]], 2)
    ends = np.abs(raw.boxes_xyxy) / sides
    pixels = np.isfinite(ends).all(axis=1) & (ends > LARGEST_FRACTION).any(axis=1)
    if pixels.any():
        message = "{} boxes look like pixels, and the format is in fractions of the image"
        yield finding("error", "not_normalised", message, subject.boxes(pixels))


# In the order in which they are told. A file that leaves images out is a fault to hand in, not to
# read: they have no boxes then.
FAULTS: tuple[Check, ...] = (
    unknown_images,
    repeated_images,
    broken_strings,
    numbers,
    labels,
    scores,
    looks_normalised,
    not_normalised,
)


def refuse_faults(subject: Subject) -> None:
    """Raise `UserError` for the first of `FAULTS` that a submission has."""
    found = next((found for check in FAULTS for found in check(subject)), None)
    if found is not None:
        raise UserError(
            found.message,
            where=", ".join([str(subject.path), *found.examples[:1]]),
            next_step="`python -m submit check` lists everything that is wrong",
        )
