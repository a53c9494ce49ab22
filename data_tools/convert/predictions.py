"""Prediction files as COCO results JSON or as a flat CSV table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.files import whole_file, write_json
from data_tools.predictions.prediction_table import TABLE_COLUMNS
from data_tools.predictions.table import Predictions


def write_coco_results(path: Path, predictions: Predictions) -> None:
    """Write `[{image_id, category_id, bbox, score}]`; images without boxes are not in it."""
    corners = predictions.boxes_xyxy.astype(np.float64)
    boxes_xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    columns = (predictions.image_id_of_row, predictions.labels, boxes_xywh, predictions.scores)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    keys = ("image_id", "category_id", "bbox", "score")
    write_json(path, [dict(zip(keys, row, strict=True)) for row in rows], indent=None)


def write_prediction_table(path: Path, predictions: Predictions, dataset: CocoDataset) -> None:
    """Write one row per box with the columns of `TABLE_COLUMNS`, exact to the float32."""
    names = dict(zip(dataset.image_ids.tolist(), dataset.file_names, strict=True))
    columns = (predictions.image_id_of_row, predictions.labels, predictions.scores)
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TABLE_COLUMNS)
        for image_id, label, score, box in zip(
            *(column.tolist() for column in columns), predictions.boxes_xyxy.tolist(), strict=True
        ):
            writer.writerow([image_id, names[image_id], label, score, *box])
