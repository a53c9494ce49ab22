"""Checks of a submission's boxes, labels and scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_tools.ground.findings import Finding
from data_tools.predictions import mistakes
from data_tools.predictions.formats.subject import Subject, finding
from data_tools.predictions.misread import misread, repair_advice

# A box may be printed a little outside its image by rounding; more than this is worth a word.
EDGE_TOLERANCE_PIXELS = 0.01


def no_classes(subject: Subject) -> Iterator[Finding]:
    """Images files without classes, against which no label can be checked."""
    if not subject.dataset.categories:
        message = (
            f"{subject.dataset.source} lists no classes, so labels were only checked to be whole "
            "numbers"
        )
        yield finding("warning", "no_classes", message, (1, ()))


def misread_boxes(subject: Subject) -> Iterator[Finding]:
    """Widths and heights where the format has corners, or corners where it has those."""
    raw = subject.raw
    image_of_box = raw.image_index[raw.row_of_box]
    if (image_of_box < 0).any():
        return
    found = misread(raw.boxes_xyxy, raw.sides_wh, subject.dataset.sizes_wh[image_of_box])
    if found:
        counted = subject.boxes(found.unfit_as_filed)
        message = f"{found.text}; {repair_advice(found.numbers)}"
        yield Finding("error", "misread_boxes", message, *counted)


def empty_boxes(subject: Subject) -> Iterator[Finding]:
    """Boxes without area."""
    boxes = subject.raw.boxes_xyxy.astype(np.float32)
    # "Not above" would also be true of NaN, which has its own finding.
    empty = np.any((boxes[:, 2:] - boxes[:, :2]) <= 0, axis=1)
    if empty.any():
        message = "{} boxes have no area: xmax must be above xmin, ymax above ymin"
        yield finding("error", "empty_boxes", message, subject.boxes(empty))


def outside(subject: Subject) -> Iterator[Finding]:
    """Boxes wholly outside their image, and those that reach over its edge."""
    raw = subject.raw
    image_of_box = raw.image_index[raw.row_of_box]
    sizes = subject.dataset.sizes_wh[image_of_box].astype(np.float64)
    boxes, known = raw.boxes_xyxy, image_of_box >= 0
    away = (boxes[:, :2] >= sizes).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    if (away & known).any():
        message = "{} boxes lie wholly outside their image: is the scale right?"
        yield finding("error", "outside_image", message, subject.boxes(away & known))
    overshoot = np.maximum(-boxes[:, :2], boxes[:, 2:] - sizes).max(axis=1, initial=0)
    partly = (overshoot > EDGE_TOLERANCE_PIXELS) & ~away & known
    if partly.any():
        message = (
            f"{{}} boxes reach over the edge of their image, by up to {overshoot[partly].max():g} "
            "pixels; `submit write` cuts them"
        )
        yield finding("warning", "over_edge", message, subject.boxes(partly))


def score_order(subject: Subject) -> Iterator[Finding]:
    """Scores that rise within an image and class."""
    raw = subject.raw
    if subject.format.row_per != "image":
        return
    order = mistakes.score_order(raw.row_of_box, raw.class_index, raw.scores)
    if order.unordered_images:
        message = (
            f"{mistakes.order_text(order)}; the server matches in file order, so that can cost "
            "points (`submit write` orders them)"
        )
        counted = (order.unordered_images, subject.boxes(order.rises)[1])
        yield finding("warning", "score_order", message, counted)


def score_cut(subject: Subject) -> Iterator[Finding]:
    """Weak boxes left out in prediction."""
    scores = subject.raw.scores
    lowest = mistakes.score_cut(scores[np.isfinite(scores)])
    if lowest is not None:
        message = (
            f"{mistakes.cut_text(lowest)}; mAP wants them all, so that costs recall: predict with "
            "a threshold of 0.001 to 0.05"
        )
        yield finding("warning", "score_cut", message, (1, ()))


def duplicates(subject: Subject) -> Iterator[Finding]:
    """Boxes that stand twice on an image."""
    raw = subject.raw
    if not len(raw.scores):
        return
    rows = np.column_stack([raw.row_of_box, raw.class_index, raw.boxes_xyxy])
    order = np.lexsort(rows.T)
    same = np.zeros(len(rows), dtype=bool)
    same[order[1:]] = (rows[order[1:]] == rows[order[:-1]]).all(axis=1)
    if same.any():
        message = (
            "{} boxes repeat another box of the same image and label: each is a false positive"
        )
        yield finding("warning", "duplicate_boxes", message, subject.boxes(same))


def emptiness(subject: Subject) -> Iterator[Finding]:
    """Files without boxes, classes never predicted, scores all alike."""
    raw = subject.raw
    if not len(raw.scores):
        yield finding("error", "no_boxes", "the file has no box at all", (1, ()))
        return
    counts = np.bincount(raw.class_index[raw.class_index >= 0],
                         minlength=len(subject.dataset.categories))  # fmt: skip
    absent = [subject.dataset.category_names[index] for index in np.flatnonzero(counts == 0)]
    if absent:
        message = "{} classes are never predicted; each counts as 0 if it is in the truth"
        yield finding("warning", "absent_classes", message, subject.names(absent))
    if len(raw.scores) > 1 and np.unique(raw.scores).size == 1:
        message = "all {} boxes have the same score: nothing tells good from bad"
        yield finding("warning", "one_score", message, (len(raw.scores), ()))
