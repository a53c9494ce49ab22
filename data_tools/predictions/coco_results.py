"""COCO results JSON (`[{image_id, category_id, bbox, score}]`), checked row by row and joined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset, load_json
from data_tools.coco.names import name_forms, positions_by_any_name
from data_tools.ground.errors import UserError
from data_tools.ground.options.notes import assume

KEYS = ("image_id", "category_id", "bbox", "score")


@dataclass(frozen=True)
class CocoResults:
    """The columns of a results file, in file order.

    Attributes:
        image_ids, labels: (N,) int64.
        boxes_xywh: (N, 4) float64 pixels.
        scores: (N,) float64.
        joined_by_name: whether `image_id` was passed over because names say which image is meant.
    """

    image_ids: np.ndarray
    labels: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray
    joined_by_name: bool = False


def read_coco_results(path: Path, dataset: CocoDataset) -> CocoResults:
    """Read a results file (`.json` or `.json.gz`); numbers need not make sense, only be numbers.

    Ultralytics names an image by the number in its file's name, or by the name without its ending,
    and writes `file_name` beside it. Texts are joined by name; so is a file whose numbers are other
    images of the dataset than its names say. Both are said.

    Args:
        path: the results.
        dataset: the images that they are about.

    Raises:
        UserError: the file is missing, no list, or an entry lacks a key or has no number there, or
            its names and ids cannot both be right and the names do not say which image is meant.
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
                expected="`image_id`, a whole number `category_id`, `bbox` "
                "[x, y, width, height], and a number `score`",
            )
    image_ids, joined_by_name = _image_ids(rows, path, dataset)
    boxes_xywh = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    return CocoResults(
        image_ids=image_ids,
        labels=np.array([int(row["category_id"]) for row in rows], dtype=np.int64),
        boxes_xywh=boxes_xywh,
        scores=np.array([row["score"] for row in rows], dtype=np.float64),
        joined_by_name=joined_by_name,
    )


def _image_ids(
    rows: list[dict[str, Any]], path: Path, dataset: CocoDataset
) -> tuple[np.ndarray, bool]:
    """Return the (N,) id of each row's image, and whether by name: texts, or names contradict."""
    texts = [row["image_id"] for row in rows if isinstance(row["image_id"], str)]
    named = [row for row in rows if isinstance(row.get("file_name"), str)]
    of_name = positions_by_any_name(dataset.file_names)
    contradicting = 0
    for row in named:
        if not isinstance(row["image_id"], str):
            place = dataset.index_of_image_id.get(int(row["image_id"]))
            own = None if place is None else dataset.file_names[place]
            contradicting += own is None or row["file_name"] not in name_forms(own)
    if not texts and not contradicting:
        return np.array([int(row["image_id"]) for row in rows], dtype=np.int64), False
    keys = [row.get("file_name", row["image_id"]) for row in rows]
    unknown = [key for key in keys if not isinstance(key, str) or of_name.get(key) is None]
    pairs = {(str(row["image_id"]), key) for row, key in zip(rows, keys, strict=True)}
    one_to_one = len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs})
    if unknown or not one_to_one:
        raise UserError(
            f"{contradicting} boxes have an `image_id` that is another image than `file_name` says"
            if contradicting
            else f"{len(texts)} boxes have a text for `image_id`",
            where=path,
            expected=f"ids of {dataset.source}, or in every entry the name of one of its images"
            + (f"; {unknown[0]!r} is none, or of several" if unknown else ""),
            next_step="write the results again with the ids of that file",
        )
    assume(
        f"{path}: {len(rows)} boxes are joined to their images by name: "
        + (
            f"{contradicting} have an `image_id` that is another image than `file_name` says"
            if contradicting
            else "`image_id` is a text"
        )
    )
    places = np.array([of_name[str(key)] for key in keys], dtype=np.int64)
    return dataset.image_ids[places], True


def _problem(row: Any) -> str | None:
    if not isinstance(row, dict):
        return f"a result is {row!r}"
    missing = [key for key in KEYS if key not in row]
    if missing:
        return f"a result lacks `{missing[0]}`"
    for key in ("image_id", "category_id"):
        if key == "image_id" and isinstance(row[key], str):
            continue
        if not (_is_number(row[key]) and row[key] == row[key] // 1 and abs(row[key]) < 2**63):
            return f"`{key}` is {row[key]!r}"
    bbox = row["bbox"]
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox))):
        return f"`bbox` is {bbox!r}"
    return None if _is_number(row["score"]) else f"`score` is {row['score']!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
