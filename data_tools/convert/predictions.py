"""Prediction files as COCO results JSON or as a flat CSV table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from data_tools.coco import CocoDataset
from data_tools.errors import UserError
from data_tools.files import whole_file, write_json
from data_tools.predictions import Predictions, predictions_from_rows
from data_tools.provenance import Provenance

TABLE_COLUMNS = ("image_id", "file_name", "label", "score", "xmin", "ymin", "xmax", "ymax")


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


def is_prediction_table(path: Path) -> bool:
    """Say whether a CSV file has the header of `write_prediction_table`."""
    with open(path, encoding="utf-8", newline="") as file:
        return next(csv.reader(file), None) == list(TABLE_COLUMNS)


def read_prediction_table(path: Path, dataset: CocoDataset) -> Predictions:
    """Read back `write_prediction_table`.

    Raises:
        UserError: a row with something else than numbers, or of an unknown image.
    """
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numeric = [name for name in TABLE_COLUMNS if name != "file_name"]
    try:
        values = [[float(row[name]) for name in numeric] for row in rows]
    except (TypeError, ValueError) as error:
        raise UserError(f"a row is not numeric ({error})", where=path) from None
    table = np.array(values, dtype=np.float64).reshape(-1, len(numeric))
    return predictions_from_rows(
        dataset.image_ids,
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2],
        table[:, 3:],
        provenance=Provenance(dataset=dataset.fingerprint, run=path.name.split(".")[0]),
    )
