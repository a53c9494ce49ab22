"""Prediction files as COCO results JSON or as a flat CSV table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file, write_json
from data_tools.ground.text_tables import read_table
from data_tools.predictions.misread import BoxNumbers
from data_tools.predictions.submission_csv import in_context
from data_tools.predictions.table import Predictions

TABLE_COLUMNS = ("image_id", "file_name", "label", "score", "xmin", "ymin", "xmax", "ymax")
# What the columns that are read back hold.
KINDS = {"image_id": int, "label": int, **dict.fromkeys(TABLE_COLUMNS[3:], float)}


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
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(csv.reader(file), None) == list(TABLE_COLUMNS)


def read_prediction_table(
    path: Path, dataset: CocoDataset, numbers: BoxNumbers | None = None
) -> Predictions:
    """Read back `write_prediction_table`; rows keep the order of the file.

    Raises:
        UserError: a row with something else than numbers, or of an unknown image.
    """
    table = read_table(path)
    rows = [
        [_number(row[name], kind, name, f"{path}, line {line}") for name, kind in KINDS.items()]
        for row, line in zip(table.rows, table.lines, strict=True)
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(KINDS)
    return in_context(
        path,
        dataset,
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=np.float64),
        np.array(columns[3:], dtype=np.float64).T,
        numbers=numbers,
    )


def _number(text: str, kind: type[int] | type[float], column: str, where: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise UserError(
            f"`{column}` is {text!r}",
            where=where,
            expected="a whole number" if kind is int else "a number",
        ) from None
