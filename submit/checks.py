"""Preflight: everything that would get a submission rejected or cost it points, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco import CocoDataset, read_coco
from data_tools.errors import UserError
from submit.format_reading import RawSubmission, read_raw
from submit.formats import DEFAULT_FORMAT, SubmissionFormat, find_format, image_names

MAX_EXAMPLES = 3
LARGE_FILE_BYTES = 100_000_000
# A box may be printed a little outside its image by rounding; more than this is worth a word.
EDGE_TOLERANCE_PIXELS = 0.01


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        severity: "error" (the file would be rejected or is not what it seems) or "warning".
        code: short stable name, for scripts.
        message: what is wrong and what to do about it.
        count: how many rows, boxes or images have it.
        examples: the first of them, as the file names them.
    """

    severity: str
    code: str
    message: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """Outcome of a preflight; `as_dict` is what `--json` prints."""

    file: str
    format: str
    images: int
    empty_images: int
    boxes: int
    file_bytes: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that must be mended."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings worth a look."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object with errors and warnings apart."""
        summary = {key: value for key, value in asdict(self).items() if key != "findings"}
        return {
            **summary,
            "ok": not self.errors,
            "errors": [asdict(finding) for finding in self.errors],
            "warnings": [asdict(finding) for finding in self.warnings],
        }


@dataclass(frozen=True)
class _Subject:
    raw: RawSubmission
    format: SubmissionFormat
    dataset: CocoDataset
    path: Path

    def boxes(self, mask: np.ndarray) -> tuple[int, tuple[str, ...]]:
        """Return how many boxes the (N,) mask marks, and the first of them in words."""
        chosen = np.flatnonzero(mask)
        examples = []
        for box in chosen[:MAX_EXAMPLES].tolist():
            name = self.raw.names[int(self.raw.row_of_box[box])]
            corners = ", ".join(f"{value:g}" for value in self.raw.boxes_xyxy[box])
            label, score = self.raw.label_texts[box], self.raw.scores[box]
            examples.append(f"{name}: label {label} score {score:g} box {corners}")
        return len(chosen), tuple(examples)

    def names(self, names: list[str]) -> tuple[int, tuple[str, ...]]:
        """Return how many names there are, and the first of them."""
        return len(names), tuple(names[:MAX_EXAMPLES])

    def rows(self, mask: np.ndarray) -> tuple[int, tuple[str, ...]]:
        """Return how many rows of the file the (R,) mask marks, and their images."""
        chosen = np.flatnonzero(mask)
        return len(chosen), tuple(self.raw.names[row] for row in chosen[:MAX_EXAMPLES].tolist())


def check_file(
    path: str | Path,
    images_file: str | Path,
    *,
    format_name: str = DEFAULT_FORMAT,
    format_file: str | Path | None = None,
) -> CheckResult:
    """Check a submission file against the COCO file of the images to predict.

    Raises:
        UserError: a file is missing or unreadable, or the header is not the format's.
    """
    submission_format = find_format(format_name, format_file)
    dataset = read_coco(images_file)
    path = Path(path)
    raw = read_raw(path, submission_format, dataset)
    return check_raw(raw, submission_format, dataset, path)


def check_raw(
    raw: RawSubmission, submission_format: SubmissionFormat, dataset: CocoDataset, path: Path
) -> CheckResult:
    """Run every check on a submission that was read."""
    subject = _Subject(raw, submission_format, dataset, path)
    findings = [f for check in (*ERROR_CHECKS, *WARNING_CHECKS) for f in check(subject)]
    with_boxes = len(np.unique(raw.image_index[raw.row_of_box]))
    return CheckResult(
        file=str(path),
        format=submission_format.name,
        images=len(raw.names),
        empty_images=len(dataset.images) - with_boxes,
        boxes=len(raw.row_of_box),
        file_bytes=path.stat().st_size,
        findings=tuple(findings),
    )


def refuse_errors(
    raw: RawSubmission, submission_format: SubmissionFormat, dataset: CocoDataset, path: Path
) -> None:
    """Raise `UserError` for the first error that makes the boxes unreadable."""
    subject = _Subject(raw, submission_format, dataset, path)
    for check in ERROR_CHECKS:
        for finding in check(subject):
            # A file may leave images out: they have no boxes then.
            if finding.code != "missing_images":
                raise UserError(
                    finding.message,
                    where=f"{path}, {'; '.join(finding.examples)}",
                    next_step="`python -m submit check` lists everything that is wrong",
                )


def _unknown_images(subject: _Subject) -> Iterator[Finding]:
    unknown = subject.raw.image_index < 0
    if unknown.any():
        expected = image_names(subject.format, subject.dataset)[0]
        yield _finding(
            "error",
            "unknown_images",
            f"{{}} images are not in {subject.dataset.source}; names look like {expected!r}",
            subject.rows(unknown),
        )


def _missing_images(subject: _Subject) -> Iterator[Finding]:
    if subject.format.row_per != "image" and not subject.format.empty:
        return
    present = set(subject.raw.image_index.tolist())
    names = image_names(subject.format, subject.dataset)
    missing = [name for place, name in enumerate(names) if place not in present]
    if missing:
        message = "{} images have no row; an image without boxes needs one too"
        yield _finding("error", "missing_images", message, subject.names(missing))


def _repeated_images(subject: _Subject) -> Iterator[Finding]:
    seen: set[str] = set()
    repeated = [name for name in subject.raw.names if name in seen or seen.add(name)]
    if repeated:
        message = "{} rows repeat an image that already has one"
        yield _finding("error", "repeated_images", message, subject.names(repeated))


def _broken_strings(subject: _Subject) -> Iterator[Finding]:
    per_box = max(len(subject.format.fields), 1)
    broken = subject.raw.field_counts % per_box != 0
    if subject.format.row_per == "image" and broken.any():
        message = f"{{}} rows do not divide into {per_box} numbers a box"
        yield _finding("error", "broken_strings", message, subject.rows(broken))


def _numbers(subject: _Subject) -> Iterator[Finding]:
    raw = subject.raw
    if raw.not_a_number.any():
        message = "{} boxes have a text where a number should be"
        yield _finding("error", "not_a_number", message, subject.boxes(raw.not_a_number))
    known = raw.image_index[raw.row_of_box] >= 0
    values = np.column_stack([raw.scores, raw.boxes_xyxy])
    infinite = ~np.isfinite(values).all(axis=1) & ~raw.not_a_number & known
    if infinite.any():
        message = "{} boxes have a number that is not finite"
        yield _finding("error", "not_finite", message, subject.boxes(infinite))


def _labels(subject: _Subject) -> Iterator[Finding]:
    unknown = subject.raw.class_index < 0
    if unknown.any():
        message = f"{{}} boxes have a label that is no class of {subject.dataset.source}"
        yield _finding("error", "unknown_labels", message, subject.boxes(unknown))


def _scores(subject: _Subject) -> Iterator[Finding]:
    scores = subject.raw.scores
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        message = "{} scores are not in [0, 1]"
        yield _finding("error", "score_range", message, subject.boxes(outside))


def _empty_boxes(subject: _Subject) -> Iterator[Finding]:
    boxes = subject.raw.boxes_xyxy.astype(np.float32)
    # "Not above" would also be true of NaN, which has its own finding.
    empty = ((boxes[:, 2:] - boxes[:, :2]) <= 0).any(axis=1)
    if empty.any():
        message = "{} boxes have no area: xmax must be above xmin, ymax above ymin"
        yield _finding("error", "empty_boxes", message, subject.boxes(empty))


def _outside(subject: _Subject) -> Iterator[Finding]:
    raw = subject.raw
    image_of_box = raw.image_index[raw.row_of_box]
    sizes = subject.dataset.sizes_wh[image_of_box].astype(np.float64)
    boxes, known = raw.boxes_xyxy, image_of_box >= 0
    away = (boxes[:, :2] >= sizes).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    if (away & known).any():
        message = "{} boxes lie wholly outside their image: is the scale right?"
        yield _finding("error", "outside_image", message, subject.boxes(away & known))
    overshoot = np.maximum(-boxes[:, :2], boxes[:, 2:] - sizes).max(axis=1, initial=0)
    partly = (overshoot > EDGE_TOLERANCE_PIXELS) & ~away & known
    if partly.any():
        message = (
            f"{{}} boxes reach over the edge of their image, by up to {overshoot[partly].max():g} "
            "pixels; `submit write` cuts them"
        )
        yield _finding("warning", "over_edge", message, subject.boxes(partly))


def _looks_normalised(subject: _Subject) -> Iterator[Finding]:
    boxes = subject.raw.boxes_xyxy
    if not len(boxes) or subject.format.normalised:
        return
    if np.nanmax(boxes, initial=-np.inf) <= 2 and subject.dataset.sizes_wh.min() > 8:
        message = "all {} boxes end within 2 pixels of the corner: they look normalised to [0, 1]"
        yield _finding("error", "normalised", message, (len(boxes), ()))


def _image_order(subject: _Subject) -> Iterator[Finding]:
    index = subject.raw.image_index[subject.raw.image_index >= 0]
    falls = int((np.diff(index) < 0).sum())
    if falls:
        message = f"rows are not in the order of {subject.dataset.source} ({{}} steps back)"
        yield _finding("warning", "image_order", message, (falls, ()))


def _column_order(subject: _Subject) -> Iterator[Finding]:
    if subject.raw.columns and subject.raw.columns != subject.format.columns:
        message = (
            f"the header is {','.join(subject.raw.columns)}, "
            f"the format's is {','.join(subject.format.columns)}"
        )
        yield _finding("warning", "column_order", message, (1, ()))


def _spaces(subject: _Subject) -> Iterator[Finding]:
    strings = subject.raw.strings
    if strings is None:
        return
    filled = strings.str.strip_chars() != ""
    is_nan = strings.str.strip_chars().str.to_lowercase() == "nan"
    if is_nan.any():
        message = "{} rows say NaN instead of nothing; pandas' fillna('') mends it"
        yield _finding("warning", "nan_strings", message, subject.rows(is_nan.to_numpy()))
    with_boxes = filled & ~is_nan
    if subject.format.empty:
        with_boxes &= strings.str.strip_chars() != subject.format.empty
    wanted = subject.format.trailing_space
    wrong = (with_boxes & (strings.str.ends_with(" ") != wanted)).to_numpy()
    if wrong.any():
        what = "lack the space after the last number" if wanted else "end with a space"
        yield _finding("warning", "trailing_space", f"{{}} rows {what}", subject.rows(wrong))
    odd = (with_boxes & strings.str.contains(r"^\s|\s\s|\t|\r|\n")).to_numpy()
    if odd.any():
        message = "{} rows have white space that is more than one space between numbers"
        yield _finding("warning", "white_space", message, subject.rows(odd))


def _score_order(subject: _Subject) -> Iterator[Finding]:
    raw = subject.raw
    if subject.format.row_per != "image" or not len(raw.scores):
        return
    # Matching is per class: files that list class after class lose nothing by that.
    order = np.lexsort((raw.class_index, raw.row_of_box))
    same = (np.diff(raw.row_of_box[order]) == 0) & (np.diff(raw.class_index[order]) == 0)
    rises = np.zeros(len(order), dtype=bool)
    rises[order[1:]] = same & (np.diff(raw.scores[order]) > 0)
    images = len(np.unique(raw.row_of_box[rises]))
    if images:
        message = (
            "on {} images boxes of a class are not in falling score; the server matches in file "
            "order, so that can cost points (`submit write` orders them)"
        )
        yield _finding("warning", "score_order", message, (images, subject.boxes(rises)[1]))


def _duplicates(subject: _Subject) -> Iterator[Finding]:
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
        yield _finding("warning", "duplicate_boxes", message, subject.boxes(same))


def _emptiness(subject: _Subject) -> Iterator[Finding]:
    raw = subject.raw
    if not len(raw.scores):
        yield _finding("error", "no_boxes", "the file has no box at all", (1, ()))
        return
    counts = np.bincount(raw.class_index[raw.class_index >= 0],
                         minlength=len(subject.dataset.categories))  # fmt: skip
    absent = [subject.dataset.category_names[index] for index in np.flatnonzero(counts == 0)]
    if absent:
        message = "{} classes are never predicted; each counts as 0 if it is in the truth"
        yield _finding("warning", "absent_classes", message, subject.names(absent))
    if len(raw.scores) > 1 and np.unique(raw.scores).size == 1:
        message = "all {} boxes have the same score: nothing tells good from bad"
        yield _finding("warning", "one_score", message, (len(raw.scores), ()))


def _file_size(subject: _Subject) -> Iterator[Finding]:
    size = subject.path.stat().st_size
    if size > LARGE_FILE_BYTES:
        message = (
            f"the file has {size / 1e6:.0f} MB, which many servers refuse; `submit plan` finds a "
            "smaller one"
        )
        yield _finding("warning", "large_file", message, (1, ()))


def _finding(
    severity: str, code: str, message: str, counted: tuple[int, tuple[str, ...]]
) -> Finding:
    count, examples = counted
    # Not str.format: names of files may hold braces.
    return Finding(severity, code, message.replace("{}", str(count), 1), count, examples)


Check = Callable[[_Subject], Iterator[Finding]]
ERROR_CHECKS: tuple[Check, ...] = (
    _unknown_images,
    _repeated_images,
    _broken_strings,
    _numbers,
    _labels,
    _scores,
    _empty_boxes,
    _missing_images,
)
WARNING_CHECKS: tuple[Check, ...] = (
    _outside,
    _looks_normalised,
    _emptiness,
    _image_order,
    _column_order,
    _spaces,
    _score_order,
    _duplicates,
    _file_size,
)
