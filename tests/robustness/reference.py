"""Scores by other people's slow programs, from files read by nothing but `json` and `csv`."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tests.robustness.forking import run_forked

# Image id, label, score, corners, and x, y, width, height as in the file or made of the corners.
Row = tuple[int, int, float, list[float], list[float]]
HEADER = ["PredictionString", "image_id"]
PARQUET_COLUMNS = ("image_id", "label", "score", "xmin", "ymin", "xmax", "ymax")


def plain_truth(path: Path) -> dict[str, Any] | None:
    """Read a COCO file that leaves nothing to interpret; None for any other."""
    value = _json(path)
    if not isinstance(value, dict) or set(value) - {"info", "licenses"} != {
        "images", "annotations", "categories",
    }:  # fmt: skip
        return None
    try:
        images = {image["id"]: image["file_name"] for image in value["images"]}
        categories = {entry["id"]: entry["name"] for entry in value["categories"]}
        boxes = value["annotations"]
        plain = (
            len(images) == len(value["images"]) == len(set(images.values()))
            and len(categories) == len(value["categories"]) == len(set(categories.values()))
            and len({box["id"] for box in boxes}) == len(boxes)
            and all(_is_id(number) for number in (*images, *categories))
            and all(isinstance(name, str) and name.isprintable() for name in images.values())
            and all(
                _is_side(image[key]) for image in value["images"] for key in ("width", "height")
            )
            and all(_is_plain_box(box, images, categories) for box in boxes)
        )
    except (KeyError, TypeError):
        return None
    return value if plain and boxes else None


def _is_plain_box(box: dict[str, Any], images: dict, categories: dict) -> bool:
    return (
        _is_id(box["id"]) and box["id"] > 0 and box["image_id"] in images
        and type(box["image_id"]) is int and type(box["category_id"]) is int
        and box["category_id"] in categories and len(box["bbox"]) == 4
        and all(map(_is_number, box["bbox"])) and min(box["bbox"][2:]) > 0
        and min(box["bbox"][:2]) >= 0 and max(box["bbox"]) < 1e5
        and box.get("iscrowd", 0) in (0, 1) and type(box.get("iscrowd", 0)) is int
        and _is_number(box.get("area", 1.0)) and box.get("area", 1.0) > 0
        and not box.get("ignore", 0)
    )  # fmt: skip


def plain_predictions(path: Path, truth: dict[str, Any]) -> list[Row] | None:
    """Read COCO results, the competition's CSV or Parquet that leaves nothing to interpret.

    Returns:
        One row per box, in the order of the file; of Parquet by falling score, as its readers do.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith(".json"):
        rows = _results(_json(path))
    elif name.endswith(".csv"):
        rows = _strings(path, {image["file_name"]: image["id"] for image in truth["images"]})
    elif name.endswith(".parquet"):
        rows = _parquet_rows(path, {image["id"] for image in truth["images"]})
    else:
        return None
    images = {image["id"] for image in truth["images"]}
    categories = {entry["id"] for entry in truth["categories"]}
    if rows is None or not all(_is_plain_row(row, images, categories) for row in rows):
        return None
    return rows


def _is_plain_row(row: Row, images: set[int], categories: set[int]) -> bool:
    image, label, score, corners, _ = row
    return (
        image in images and label in categories and 0 <= score <= 1
        and all(map(_is_number, corners)) and max(map(abs, corners)) < 1e5
        and corners[2] > corners[0] and corners[3] > corners[1]
    )  # fmt: skip


def _results(value: Any) -> list[Row] | None:
    if not isinstance(value, list):
        return None
    rows = []
    for entry in value:
        if not isinstance(entry, dict) or set(entry) != {
            "image_id",
            "category_id",
            "bbox",
            "score",
        }:
            return None
        box = entry["bbox"]
        numbers = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
        ids = type(entry["image_id"]) is int and type(entry["category_id"]) is int
        if not (numbers and ids and _is_number(entry["score"]) and min(box[2:]) > 0):
            return None
        x, y, width, height = map(float, box)
        corners, sides = [x, y, x + width, y + height], [x, y, width, height]
        rows.append(
            (entry["image_id"], entry["category_id"], float(entry["score"]), corners, sides)
        )
    return rows


def _strings(path: Path, image_of_name: dict[str, int]) -> list[Row] | None:
    try:
        lines = list(csv.reader(io.StringIO(_text(path)), strict=True))
        if not lines or lines[0] != HEADER or any(len(line) != 2 for line in lines):
            return None
        if len({name for _, name in lines[1:]}) != len(lines) - 1:
            return None
        rows: list[Row] = []
        for text, name in lines[1:]:
            words = text.split(" ")
            words = words[:-1] if words[-1] == "" else words
            if len(words) % 6 or name not in image_of_name:
                return None
            for start in range(0, len(words), 6):
                label, *numbers = words[start : start + 6]
                score, *corners = map(float, numbers)
                rows.append((image_of_name[name], int(label), score, corners, sides_of(corners)))
    except (ValueError, OSError, EOFError, csv.Error):
        return None
    return rows


def _parquet_rows(path: Path, image_ids: set[int]) -> list[Row] | None:
    # Its library starts threads, so that it is read in a child.
    there = path.resolve()
    read = run_forked(lambda: print(_parquet_text(there)), folder=there.parent)  # noqa: T201
    columns = json.loads(read.output) if read.status == 0 else None
    if columns is None or set(columns.pop("image_ids")) != image_ids:
        return None
    try:
        rows: list[Row] = [
            (image, label, score, [*map(float, corners)], sides_of([*map(float, corners)]))
            for image, label, score, *corners in zip(*columns.values(), strict=True)
        ]
    except (TypeError, ValueError):
        return None
    return sorted(rows, key=lambda row: -row[2])


def _parquet_text(path: Path) -> str:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    said = json.loads(table.schema.metadata[b"boxcamp"])["image_ids"]
    columns = {name: table.column(name).to_pylist() for name in PARQUET_COLUMNS}
    return json.dumps({"image_ids": said, **columns})


def competition_map50(truth: dict[str, Any], rows: list[Row]) -> float:
    """Return the competition's mAP50 as `map_boxes` computes it."""
    with contextlib.redirect_stdout(io.StringIO()):
        from map_boxes import mean_average_precision_for_boxes
    annotations = [
        [box["image_id"], box["category_id"], box["bbox"][0], box["bbox"][0] + box["bbox"][2],
         box["bbox"][1], box["bbox"][1] + box["bbox"][3]]
        for box in truth["annotations"]
    ]  # fmt: skip
    # An image without boxes is one without a row; grouped by image, as the server reads files.
    order = {image["id"]: place for place, image in enumerate(truth["images"])}
    grouped = sorted(rows, key=lambda row: order[row[0]])
    detections = [
        [image, label, score, box[0], box[2], box[1], box[3]]
        for image, label, score, box, _ in grouped
    ]
    answer = mean_average_precision_for_boxes(
        np.array(annotations, dtype=object), np.array(detections, dtype=object), verbose=False
    )
    return float(answer[0])


def coco_map(truth: dict[str, Any], rows: list[Row]) -> float | None:
    """Return COCO's mAP as pycocotools computes it, None where it has nothing to average."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    boxes = [
        {
            "area": box["bbox"][2] * box["bbox"][3],
            "iscrowd": 0,
            **box,
        }
        for box in truth["annotations"]
    ]
    found = [
        {"id": place, "image_id": image, "category_id": label, "score": score, "iscrowd": 0,
         "bbox": box, "area": box[2] * box[3]}
        for place, (image, label, score, _, box) in enumerate(rows, 1)
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (boxes, found):
            side = COCO()
            side.dataset = {**truth, "annotations": annotations}
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def sides_of(corners: list[float]) -> list[float]:
    """Return x, y, width, height of a box given by its corners."""
    xmin, ymin, xmax, ymax = corners
    return [xmin, ymin, xmax - xmin, ymax - ymin]


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path), object_pairs_hook=_without_doubles)
    except (ValueError, OSError, EOFError, RecursionError):
        return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _text(path: Path) -> str:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        if len(raw) > 1 << 20:
            raise ValueError("too large to be read plainly")
        raw = gzip.decompress(raw)
    return raw.decode("utf-8")


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value < 100_000


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
