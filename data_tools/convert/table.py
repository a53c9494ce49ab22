"""Annotation tables as CSV: one row per box, with a header."""

from __future__ import annotations

import csv
from pathlib import Path

from data_tools.coco import CocoDataset
from data_tools.convert.assemble import BoxEntry, ImageEntry, assemble, image_size
from data_tools.errors import UserError

COLUMNS = ("file_name", "class", "xmin", "ymin", "xmax", "ymax")
BOX_COLUMNS = COLUMNS[2:]


def coco_from_table(path: Path, image_root: Path) -> CocoDataset:
    """Read a CSV table with the columns of `COLUMNS`, and `width`, `height` if it has them.

    A row with empty box columns lists an image without boxes. Classes are numbered in
    alphabetical order, images in order of appearance; sizes that the table does not have are read
    from the images.

    Raises:
        UserError: a missing column, or a row with something else than numbers.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise UserError(
                f"the table has no column {missing[0]!r}",
                where=path,
                expected=",".join(COLUMNS) + " (and width,height)",
            )
        rows = list(reader)
    sizes: dict[str, tuple[int, int]] = {}
    boxes = []
    for number, row in enumerate(rows, start=2):
        name = row["file_name"]
        if name not in sizes:
            sizes[name] = _size(row, image_root, f"{path}, line {number}")
        if any(row[key] for key in BOX_COLUMNS):
            corners = tuple(_number(row, key, f"{path}, line {number}") for key in BOX_COLUMNS)
            boxes.append(BoxEntry(name, row["class"], corners))
    images = [ImageEntry(name, size_wh) for name, size_wh in sizes.items()]
    return assemble(images, boxes, sorted({box.class_name for box in boxes}), path)


def _size(row: dict[str, str], image_root: Path, where: str) -> tuple[int, int]:
    if row.get("width") and row.get("height"):
        return int(_number(row, "width", where)), int(_number(row, "height", where))
    return image_size(image_root, row["file_name"])


def _number(row: dict[str, str], key: str, where: str) -> float:
    try:
        return float(row[key])
    except (TypeError, ValueError):
        raise UserError(f"`{key}` is {row[key]!r}", where=where, expected="a number") from None
