"""Preflight: everything that would get a submission rejected or cost it points, at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.findings import Finding
from data_tools.predictions.formats.catalogue import DEFAULT_FORMAT, find_format
from data_tools.predictions.formats.faults import FAULTS, Check, missing_images
from data_tools.predictions.formats.raw import RawSubmission, read_raw
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.formats.subject import Subject
from submit.checks import boxes, rows
from submit.checks.findings import CheckResult

FURTHER_CHECKS: tuple[Check, ...] = (
    missing_images,
    boxes.misread_boxes,
    boxes.empty_boxes,
    boxes.no_classes,
    boxes.outside,
    boxes.emptiness,
    rows.wrong_ids,
    rows.index_column,
    rows.loose_names,
    rows.decimal_labels,
    rows.image_order,
    rows.column_order,
    rows.spaces,
    boxes.score_order,
    boxes.score_cut,
    boxes.duplicates,
    rows.file_size,
    rows.encoding,
)


def check_file(
    path: str | Path,
    images_file: str | Path,
    *,
    format_name: str | None = None,
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
    subject = Subject(raw, submission_format, dataset, path)
    findings = [f for check in (*FAULTS, *FURTHER_CHECKS) for f in check(subject)]
    image_of_box = raw.image_index[raw.row_of_box]
    with_boxes = len(np.unique(image_of_box[image_of_box >= 0]))
    return CheckResult(
        file=str(path),
        format=submission_format.name,
        images=len(raw.names),
        empty_images=len(dataset.images) - with_boxes,
        boxes=len(raw.row_of_box),
        file_bytes=path.stat().st_size,
        findings=tuple(findings),
    )


def unreadable(path: str | Path, format_name: str | None, error: UserError) -> CheckResult:
    """Return the result for a file that could not even be read: one error, the message."""
    found = Finding("error", "unreadable", str(error), 1)
    return CheckResult(str(path), format_name or DEFAULT_FORMAT, 0, 0, 0, 0, (found,))
