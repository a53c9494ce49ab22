"""Write a submission: every image in order, boxes by descending score, clipped and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.boxes import clip_boxes
from data_tools.ground.errors import UserError
from data_tools.ground.files import refuse_overwriting
from data_tools.predictions.formats.catalogue import (
    find_format,
    refuse_unlisted_classes,
    with_classes,
)
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.mistakes import images_out_of_order
from data_tools.predictions.table import Predictions, predictions_from_rows
from scoring.table import check_same_images, positions_of
from submit.printing import keeps_area, write_in_format
from submit.trimming import Trim, trimmed


@dataclass(frozen=True)
class WriteReport:
    """What `submit write` did to the boxes on their way into the file.

    Attributes:
        images, boxes: rows of the file, boxes in it.
        empty_images: images without boxes; they are rows too.
        clipped_boxes: boxes that reached over the image and were cut to it.
        emptied_boxes: boxes left without area by that, and dropped.
        reordered_images: images whose boxes were not in descending order of score.
        below_floor, beyond_cap: boxes left out because the user asked for a limit.
        rounded_away: boxes left without area by the rounding that was asked for, and dropped.
    """

    images: int
    boxes: int
    empty_images: int
    clipped_boxes: int
    emptied_boxes: int
    reordered_images: int
    below_floor: int = 0
    beyond_cap: int = 0
    rounded_away: int = 0


def prepared(predictions: Predictions, dataset: CocoDataset) -> tuple[Predictions, WriteReport]:
    """Return the boxes as they go into a submission, and what was changed.

    Raises:
        UserError: the predictions are not for exactly the images of `dataset`, or have labels
            that it does not list.
    """
    check_same_images(predictions, dataset)
    _refuse_unknown_labels(predictions, dataset)
    position, _ = positions_of(predictions.image_id_of_row, dataset.image_ids)
    clipped = clip_boxes(predictions.boxes_xyxy, dataset.sizes_wh[position].astype(np.float32))
    clipped += clipped.dtype.type(0)  # turns -0.0 into 0.0
    changed = (clipped != predictions.boxes_xyxy).any(axis=1)
    sides = predictions.stated_sides_wh
    if sides is not None:
        sides = np.where(changed[:, None], clipped[:, 2:] - clipped[:, :2], sides)
    has_area = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    result = predictions_from_rows(
        dataset.image_ids,
        predictions.image_id_of_row[has_area],
        predictions.labels[has_area],
        predictions.scores[has_area],
        clipped[has_area],
        views=predictions.views[has_area],
        provenance=predictions.provenance,
        stated_sides_wh=None if sides is None else sides[has_area],
    )
    report = WriteReport(
        images=len(dataset.images),
        boxes=len(result),
        empty_images=int((np.diff(result.offsets) == 0).sum()),
        clipped_boxes=int((changed & has_area).sum()),
        emptied_boxes=int((~has_area).sum()),
        reordered_images=images_out_of_order(predictions),
    )
    return result, report


def write_submission(
    predictions_file: str | Path,
    images_file: str | Path,
    out: str | Path,
    *,
    format_name: str | None = None,
    format_file: str | Path | None = None,
    trim: Trim | None = None,
) -> WriteReport:
    """Read predictions of any kind and write them as a submission for `images_file`.

    Args:
        predictions_file: prediction Parquet, submission CSV or COCO results.
        images_file: COCO file of the images to predict.
        out: the file to write.
        format_name, format_file: as in `find_format`.
        trim: what to leave out; None leaves everything.

    Raises:
        UserError: an input is missing or broken, or made for other images, or would be replaced
            by the output, or the score floor is no score.
    """
    from data_tools.predictions.files import read_predictions

    refuse_overwriting([out], [predictions_file, images_file, format_file])
    trim = trim or Trim()
    if not 0 <= trim.score_floor <= 1:
        raise UserError(f"--score-floor is {trim.score_floor:g}", expected="a score from 0 to 1")
    submission_format = find_format(format_name, format_file)
    if trim.score_digits is not None:
        submission_format = replace(submission_format, score_digits=trim.score_digits)
    if trim.coordinate_digits is not None:
        submission_format = replace(submission_format, coordinate_digits=trim.coordinate_digits)
    dataset = read_coco(images_file)
    refuse_unlisted_classes(submission_format, dataset)
    predictions = read_predictions(predictions_file, dataset)
    dataset = with_classes(dataset, predictions.labels)
    predictions, report = prepared(predictions, dataset)
    predictions, report = _trimmed(predictions, report, trim)
    predictions, report = _without_rounded_away(predictions, report, dataset, submission_format)
    write_in_format(out, predictions, dataset, submission_format)
    return report


def _trimmed(
    predictions: Predictions, report: WriteReport, trim: Trim
) -> tuple[Predictions, WriteReport]:
    above_floor = trimmed(predictions, Trim(score_floor=trim.score_floor))
    kept = trimmed(above_floor, Trim(max_per_image=trim.max_per_image))
    return kept, replace(
        report,
        boxes=len(kept),
        empty_images=int((np.diff(kept.offsets) == 0).sum()),
        below_floor=len(predictions) - len(above_floor),
        beyond_cap=len(above_floor) - len(kept),
    )


def _without_rounded_away(
    predictions: Predictions,
    report: WriteReport,
    dataset: CocoDataset,
    submission_format: SubmissionFormat,
) -> tuple[Predictions, WriteReport]:
    """Drop boxes that rounding leaves without area; a server would refuse the whole file."""
    has_area = keeps_area(predictions, dataset, submission_format)
    kept = predictions.filtered(has_area)
    return kept, replace(
        report,
        boxes=len(kept),
        empty_images=int((np.diff(kept.offsets) == 0).sum()),
        rounded_away=int((~has_area).sum()),
    )


def _refuse_unknown_labels(predictions: Predictions, dataset: CocoDataset) -> None:
    _, known = positions_of(predictions.labels, dataset.category_ids)
    if known.all():
        return
    row = int(np.flatnonzero(~known)[0])
    raise UserError(
        f"{int((~known).sum())} boxes have a label that is no class of the dataset, "
        f"the first is {int(predictions.labels[row])}",
        where=f"row {row}, image {int(predictions.image_id_of_row[row])}",
        expected=f"one of {dataset.category_ids.tolist()} (from {dataset.source})",
    )


def written_text(out: str | Path, report: WriteReport) -> str:
    """Return what was written, with every repair counted."""
    lines = [
        f"wrote {out}: {report.images} images ({report.empty_images} without boxes), "
        f"{report.boxes} boxes"
    ]
    repairs = {
        "boxes cut to the image": report.clipped_boxes,
        "boxes dropped, nothing of them was inside the image": report.emptied_boxes,
        "boxes left out below the score floor": report.below_floor,
        "boxes left out beyond the cap per image": report.beyond_cap,
        "boxes dropped, rounding left them without area": report.rounded_away,
        "images put into descending order of score": report.reordered_images,
    }
    lines += [f"  {count} {what}" for what, count in repairs.items() if count]
    return "\n".join(lines)
