"""Annotation tables as CSV: one row per box, with a header."""

from __future__ import annotations

from pathlib import Path

from data_tools.coco.dataset import CocoDataset
from data_tools.convert.assemble import (
    BoxEntry,
    ImageEntry,
    assemble,
    image_size,
    whole_pixels,
)
from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import read_table

COLUMNS = ("file_name", "class", "xmin", "ymin", "xmax", "ymax")
BOX_COLUMNS = COLUMNS[2:]


def coco_from_table(path: Path, image_root: Path) -> CocoDataset:
    """Read a CSV table with the columns of `COLUMNS`, and `width`, `height` if it has them.

    A row with empty box columns lists an image without boxes. Classes are numbered in
    alphabetical order, images in order of appearance; sizes that the table does not have are read
    from the images.

    Raises:
        UserError: a missing column, a row with something else than numbers, a box without class,
            or two sizes for one image.
    """
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise UserError(
            f"the table has no column {missing[0]!r}",
            where=path,
            expected=",".join(COLUMNS) + " (and width,height)",
        )
    sizes: dict[str, tuple[int, int]] = {}
    boxes = []
    for row, line in zip(table.rows, table.lines, strict=True):
        name, where = row["file_name"], f"{path}, line {line}"
        size = _given_size(row, where) or sizes.get(name) or image_size(image_root, name)
        if sizes.setdefault(name, size) != size:
            raise UserError(
                f"{name} is {size[0]} x {size[1]} here and {sizes[name][0]} x {sizes[name][1]} "
                "in an earlier row",
                where=where,
                expected="one size for each image",
            )
        if any(row[key] for key in BOX_COLUMNS):
            if not row["class"]:
                raise UserError("the box has no class", where=where, expected="a name in `class`")
            left, top, right, bottom = (_number(row, key, where) for key in BOX_COLUMNS)
            boxes.append(BoxEntry(name, row["class"], (left, top, right, bottom)))
    images = [ImageEntry(name, size_wh) for name, size_wh in sizes.items()]
    return assemble(images, boxes, sorted({box.class_name for box in boxes}), path)


def _given_size(row: dict[str, str], where: str) -> tuple[int, int] | None:
    if not (row.get("width") and row.get("height")):
        return None
    return (
        whole_pixels(_number(row, "width", where), "width", where),
        whole_pixels(_number(row, "height", where), "height", where),
    )


def _number(row: dict[str, str], key: str, where: str) -> float:
    try:
        return float(row[key])
    except (TypeError, ValueError):
        raise UserError(f"`{key}` is {row[key]!r}", where=where, expected="a number") from None
