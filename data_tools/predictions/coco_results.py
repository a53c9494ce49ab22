"""COCO results JSON (`[{image_id, category_id, bbox, score}]`), read and checked row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import load_json
from data_tools.ground.errors import UserError

KEYS = ("image_id", "category_id", "bbox", "score")


@dataclass(frozen=True)
class CocoResults:
    """The columns of a results file, in file order.

    Attributes:
        image_ids, labels: (N,) int64.
        boxes_xywh: (N, 4) float64 pixels.
        scores: (N,) float64.
    """

    image_ids: np.ndarray
    labels: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray


def read_coco_results(path: Path) -> CocoResults:
    """Read a results file (`.json` or `.json.gz`); numbers need not make sense, only be numbers.

    Raises:
        UserError: the file is missing, no list, or an entry lacks a key or has no number there.
    """
    rows = load_json(path)
    if not isinstance(rows, list):
        raise UserError("COCO results are not a list", where=path, expected="a list of boxes")
    for position, row in enumerate(rows):
        problem = _problem(row)
        if problem:
            raise UserError(
                problem,
                where=f"{path}, entry {position}",
                expected="whole numbers `image_id` and `category_id`, `bbox` "
                "[x, y, width, height], and a number `score`",
            )
    boxes_xywh = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    return CocoResults(
        image_ids=np.array([int(row["image_id"]) for row in rows], dtype=np.int64),
        labels=np.array([int(row["category_id"]) for row in rows], dtype=np.int64),
        boxes_xywh=boxes_xywh,
        scores=np.array([row["score"] for row in rows], dtype=np.float64),
    )


def _problem(row: Any) -> str | None:
    if not isinstance(row, dict):
        return f"a result is {row!r}"
    missing = [key for key in KEYS if key not in row]
    if missing:
        return f"a result lacks `{missing[0]}`"
    for key in ("image_id", "category_id"):
        if not (_is_number(row[key]) and row[key] == row[key] // 1 and abs(row[key]) < 2**63):
            return f"`{key}` is {row[key]!r}"
    bbox = row["bbox"]
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox))):
        return f"`bbox` is {bbox!r}"
    return None if _is_number(row["score"]) else f"`score` is {row['score']!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
