"""Write a submission: every image in order, boxes by falling score, boxes clipped and counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.boxes import clip_boxes
from data_tools.coco import CocoDataset, read_coco
from data_tools.errors import UserError
from data_tools.predictions import Predictions, predictions_from_rows
from submit.format_writing import write_in_format
from submit.formats import DEFAULT_FORMAT, find_format
from submit.tables import check_same_images, positions_of


@dataclass(frozen=True)
class WriteReport:
    """What `submit write` did to the boxes on their way into the file.

    Attributes:
        images, boxes: rows of the file, boxes in it.
        empty_images: images without boxes; they are rows too.
        clipped_boxes: boxes that reached over the image and were cut to it.
        emptied_boxes: boxes left without area by that, and dropped.
        reordered_images: images whose boxes were not in falling score.
    """

    images: int
    boxes: int
    empty_images: int
    clipped_boxes: int
    emptied_boxes: int
    reordered_images: int


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
    changed = (clipped != predictions.boxes_xyxy).any(axis=1)
    has_area = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    rising = np.zeros(len(predictions), dtype=bool)
    same_image = np.diff(predictions.image_index_of_row) == 0
    rising[1:] = (np.diff(predictions.scores) > 0) & same_image
    result = predictions_from_rows(
        dataset.image_ids,
        predictions.image_id_of_row[has_area],
        predictions.labels[has_area],
        predictions.scores[has_area],
        clipped[has_area],
        views=predictions.views[has_area],
        provenance=predictions.provenance,
    )
    report = WriteReport(
        images=len(dataset.images),
        boxes=len(result),
        empty_images=int((np.diff(result.offsets) == 0).sum()),
        clipped_boxes=int((changed & has_area).sum()),
        emptied_boxes=int((~has_area).sum()),
        reordered_images=len(np.unique(predictions.image_index_of_row[rising])),
    )
    return result, report


def write_submission(
    predictions_file: str | Path,
    images_file: str | Path,
    out: str | Path,
    *,
    format_name: str = DEFAULT_FORMAT,
    format_file: str | Path | None = None,
) -> WriteReport:
    """Read predictions of any kind and write them as a submission for `images_file`.

    Raises:
        UserError: an input is missing or broken, or made for other images.
    """
    from data_tools.prediction_files import read_predictions

    submission_format = find_format(format_name, format_file)
    dataset = read_coco(images_file)
    predictions, report = prepared(read_predictions(predictions_file, dataset), dataset)
    write_in_format(out, predictions, dataset, submission_format)
    return report


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
