"""Headers of annotation tables that are about: which column holds what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import first_row

EXPECTED = "file_name,class,xmin,ymin,xmax,ymax (and width,height)"
# Compared without case, underscores, spaces and hyphens.
_NAMES = ("filename", "imageid", "image", "imagename", "imagepath", "path", "patientid", "id")
_CLASSES = ("class", "classname", "label", "category", "categoryname", "labelname")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_ONE_CELL = ("bbox", "box")
# 1 where the row has a box and 0 where the image has none; names no class.
_FLAGS = ("target",)
# keras-retinanet's tables have no header.
HEADERLESS = ("path", "x1", "y1", "x2", "y2", "class")


@dataclass(frozen=True)
class Header:
    """The columns of a table, by the names that it gives them.

    Attributes:
        file_name: image.
        class_name: class; None where the table has one class only.
        box: four columns, or one that holds `[x, y, width, height]`.
        has_corners: the four are corners, and not x, y, width, height.
        size: width and height of the image; None where the table does not tell.
        columns: names to give to a file without header; None where it has one.
    """

    file_name: str
    class_name: str | None
    box: tuple[str, ...]
    has_corners: bool
    size: tuple[str, str] | None
    columns: tuple[str, ...] | None = None


def recognised_header(path: Path) -> Header:
    """Find out which columns a table has.

    Raises:
        UserError: there is no column with the image, or none with boxes.
    """
    cells = first_row(path)
    if _is_row_of_boxes(cells):
        return Header("path", "class", HEADERLESS[1:5], True, None, HEADERLESS)
    given = {_plain(cell): cell for cell in reversed(cells)}
    file_name = _first(given, _NAMES)
    if file_name is None:
        raise _missing("file_name", cells, path)
    corners = _group(given, _CORNERS)
    sides = None if corners else _group(given, _SIDES)
    one_cell = _first(given, _ONE_CELL)
    box = corners or sides or ((one_cell,) if one_cell else None)
    if box is None:
        raise _missing(_first_missing(given), cells, path)
    size = _group(given, (("width", "height"),))
    return Header(
        file_name=file_name,
        class_name=_first(given, _CLASSES),
        box=box,
        has_corners=bool(corners),
        size=(size[0], size[1]) if size and not sides else None,
    )


def _plain(name: str) -> str:
    return "".join(sign for sign in name.strip().lower() if sign not in "_- ")


def _first(given: dict[str, str], names: Sequence[str]) -> str | None:
    return next((given[name] for name in names if name in given), None)


def _group(given: dict[str, str], groups: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    for group in groups:
        if all(name in given for name in group):
            return tuple(given[name] for name in group)
    return None


def _first_missing(given: dict[str, str]) -> str:
    return next(name for name in _CORNERS[0] if name not in given)


def _missing(column: str, cells: Sequence[str], path: Path) -> UserError:
    shown = ",".join(cells)
    return UserError(
        f"the table has no column {column!r}",
        where=path,
        expected=EXPECTED,
        next_step=f"rename its columns; they are now {shown[:200]}",
    )


def _is_row_of_boxes(cells: Sequence[str]) -> bool:
    """Say whether a first row is data: path, four numbers (or none), class."""
    if len(cells) != len(HEADERLESS):
        return False
    corners = [cell.strip() for cell in cells[1:5]]
    return not any(corners) or all(map(_is_number, corners))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
