"""Annotation tables as CSV: one row per box, with one of the headers that are about."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PurePosixPath

from data_tools.convert.assemble import BoxEntry, ImageEntry, Imported, assemble, whole_pixels
from data_tools.convert.picture_files import found_name, image_entry
from data_tools.convert.table_headers import Header, recognised_header
from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import read_table

ONLY_CLASS = "object"
# How tables write that there is no value.
_EMPTY = {"", "nan", "none", "null", "na", "n/a"}

Corners = tuple[float, float, float, float]


def coco_from_table(path: Path, image_root: Path) -> Imported:
    """Read a CSV table with `file_name,class,xmin,ymin,xmax,ymax` or another header that is known.

    A row with empty box columns lists an image without boxes. Classes are numbered in
    alphabetical order, images in order of appearance; sizes that the table does not have are read
    from the images. Spaces around names are no part of them.

    Raises:
        UserError: a missing column, a row with something else than numbers, a box without class,
            a box of fractions, or two sizes for one image.
    """
    header = recognised_header(path)
    table = read_table(path, header.columns)
    notes: Counter[str] = Counter()
    if header.class_name is None:
        notes[f"rows without a class column: the class is {ONLY_CLASS!r}"] += len(table.rows)
    images: dict[str, ImageEntry] = {}
    name_of_text: dict[str, str] = {}
    boxes = []
    for row, line in zip(table.rows, table.lines, strict=True):
        where = f"{path}, line {line}"
        text = row[header.file_name]
        if text not in name_of_text:
            name_of_text[text] = _image_name(text, image_root, notes, where)
        name = name_of_text[text]
        size = _given_size(row, header, where)
        image = ImageEntry(name, size) if size else images.get(name)
        image = image or image_entry(image_root, name)
        if images.setdefault(name, image).size_wh != image.size_wh:
            raise _two_sizes(image, images[name], where)
        corners = _corners(row, header, where, notes)
        if corners is not None:
            boxes.append(BoxEntry(name, _class_of(row, header, where, notes), corners))
    classes = sorted({box.class_name for box in boxes})
    alike = len(classes) - len({name.casefold() for name in classes})
    if alike:
        notes["classes that differ from another in capital letters only"] += alike
    return assemble(list(images.values()), boxes, classes, path, notes)


def _image_name(text: str, image_root: Path, notes: Counter[str], where: str) -> str:
    name = text.strip()
    if not name:
        raise UserError("the row names no image", where=where, expected="a file name")
    usable = found_name(name, image_root, notes, where, complete=not PurePosixPath(name).suffix)
    return str(PurePosixPath(usable))  # "./a.jpg" is "a.jpg"


def _two_sizes(image: ImageEntry, first: ImageEntry, where: str) -> UserError:
    return UserError(
        f"{image.file_name} is {image.size_wh[0]} x {image.size_wh[1]} here and "
        f"{first.size_wh[0]} x {first.size_wh[1]} in an earlier row",
        where=where,
        expected="one size for each image",
    )


def _class_of(row: dict[str, str], header: Header, where: str, notes: Counter[str]) -> str:
    if header.class_name is None:
        return ONLY_CLASS
    given = row[header.class_name]
    name = given.strip()
    if not name:
        raise UserError(
            "the box has no class", where=where, expected=f"a name in `{header.class_name}`"
        )
    if name != given:
        notes["class names with spaces around them: stripped"] += 1
    return name


def _corners(
    row: dict[str, str], header: Header, where: str, notes: Counter[str]
) -> Corners | None:
    """Return xmin, ymin, xmax, ymax in pixels; None where the row has no box."""
    cells = [row[name] for name in header.box]
    if len(cells) == 1 and not _is_empty(cells[0]):
        cells = cells[0].strip().strip("[]()").replace(",", " ").split()
        if len(cells) != 4:
            raise UserError(
                f"`{header.box[0]}` is {row[header.box[0]]!r}",
                where=where,
                expected="[x, y, width, height]",
            )
    if all(map(_is_empty, cells)):
        return None
    names = header.box if len(header.box) == 4 else header.box * 4
    first, second, third, fourth = (
        _number(cell, name, where) for cell, name in zip(cells, names, strict=True)
    )
    if not header.has_corners:
        third, fourth = first + third, second + fourth
    corners = (first, second, third, fourth)
    if max(map(abs, corners)) <= 1 and not all(value.is_integer() for value in corners):
        raise UserError(
            f"the box {', '.join(f'{value:g}' for value in corners)} looks like fractions of the "
            "image",
            where=where,
            expected="pixels",
            next_step="multiply x by the image's width and y by its height",
        )
    if third < first or fourth < second:
        notes["boxes whose corners were exchanged: turned round"] += 1
        return (
            min(first, third),
            min(second, fourth),
            max(first, third),
            max(second, fourth),
        )
    return corners


def _given_size(row: dict[str, str], header: Header, where: str) -> tuple[int, int] | None:
    if header.size is None or any(_is_empty(row[name]) for name in header.size):
        return None
    width, height = (
        whole_pixels(_number(row[name], name, where, finite=False), name, where)
        for name in header.size
    )
    return width, height


def _is_empty(text: str) -> bool:
    return text.strip().lower() in _EMPTY


def _number(text: str, column: str, where: str, *, finite: bool = True) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
        finite = True
    if finite and not math.isfinite(value):
        raise UserError(f"`{column}` is {text!r}", where=where, expected="a number")
    return value
