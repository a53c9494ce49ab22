"""The flat CSV of one row per box that `data_tools convert` writes, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import read_table
from data_tools.predictions.misread import BoxNumbers, predictions_as_filed
from data_tools.predictions.table import Predictions

TABLE_COLUMNS = ("image_id", "file_name", "label", "score", "xmin", "ymin", "xmax", "ymax")
# What the columns that are read back hold.
KINDS = {"image_id": int, "label": int, **dict.fromkeys(TABLE_COLUMNS[3:], float)}


def read_prediction_table(
    path: Path, dataset: CocoDataset, numbers: BoxNumbers | None = None
) -> Predictions:
    """Read the table with the columns `TABLE_COLUMNS`; rows keep the order of the file.

    Raises:
        UserError: a row with something else than numbers, or of an unknown image.
    """
    table = read_table(path)
    rows = [
        [_number(row[name], kind, name, f"{path}, line {line}") for name, kind in KINDS.items()]
        for row, line in zip(table.rows, table.lines, strict=True)
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(KINDS)
    return predictions_as_filed(
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
