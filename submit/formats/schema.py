"""What a block of a format file may say, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from data_tools.ground.declared.checking import EXACT, checked
from data_tools.ground.errors import UserError

FIELDS = ("label", "score", "xmin", "ymin", "xmax", "ymax", "width", "height", "xcenter", "ycenter")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
BOX_FIELDS = (
    set(CORNERS),
    {"xmin", "ymin", "width", "height"},
    {"xcenter", "ycenter", "width", "height"},
)
# More decimals than nine say nothing about a box or a score.
Decimals = Annotated[int, Ge(0), Le(9)]


@dataclass(frozen=True)
class FormatBlock:
    """The keys of one format in a format file.

    Attributes:
        description: one line for the list.
        columns: the header, in order.
        image_column: the column that names the image.
        prediction_column: the column of the boxes, when there is one row per image.
        image_key: how an image is named: its `file_name`, the name without folders and extension
            ("stem"), or its COCO `id`.
        label_key: how a class is named: its COCO `id`, its `name`, or its `position` in the file.
        fields: what the numbers of a box are, in order (`FIELDS`). Without `label` the competition
            has a single class. With one row per box these are also the columns, in this order,
            after leaving out `image_column`.
        row_per: "image", "box" or "coco_json".
        normalised: coordinates are fractions of the image's width and height.
        trailing_space: a string that is not empty ends with a space.
        empty: what stands for an image without boxes.
        score_digits, coordinate_digits: decimals printed; None prints the shortest text that reads
            back as the same number.
    """

    __pydantic_config__ = EXACT

    description: str = ""
    columns: tuple[str, ...] = ()
    image_column: str = ""
    prediction_column: str = "PredictionString"
    image_key: Literal["file_name", "stem", "id"] = "file_name"
    label_key: Literal["id", "name", "position"] = "id"
    fields: tuple[str, ...] = ()
    row_per: Literal["image", "box", "coco_json"] = "image"
    normalised: bool = False
    trailing_space: bool = False
    empty: str = ""
    score_digits: Decimals | None = None
    coordinate_digits: Decimals | None = None


@dataclass(frozen=True, kw_only=True)
class SubmissionFormat(FormatBlock):
    """One submission format; `name` is what `--format` calls it."""

    name: str


def checked_formats(blocks: Any, path: Path) -> dict[str, SubmissionFormat]:
    """Return the formats that a YAML file describes, by name.

    Args:
        blocks: its content: name -> keys of the format.
        path: the file, for messages.

    Raises:
        UserError: unknown keys and wrong values, all in one message, or columns and fields that
            do not go together.
    """
    described = checked(
        blocks,
        dict[str, FormatBlock],
        where=path,
        next_step="submit/formats/formats.yaml shows each key in use",
    )
    formats = {
        name: SubmissionFormat(name=name, **vars(block)) for name, block in described.items()
    }
    for name, one in formats.items():
        if one.row_per != "coco_json":
            _check_columns(one, f"{path}, format {name!r}")
    return formats


def _check_columns(result: SubmissionFormat, where: str) -> None:
    unknown = [field for field in result.fields if field not in FIELDS]
    if unknown:
        raise UserError(
            f"`fields` has {unknown[0]!r}", where=where, expected=f"some of {', '.join(FIELDS)}"
        )
    box_fields = [field for field in result.fields if field not in ("label", "score")]
    if set(box_fields) not in BOX_FIELDS or "score" not in result.fields:
        raise UserError(
            f"`fields` is {', '.join(result.fields)}",
            where=where,
            expected="`score` and a box: xmin ymin xmax ymax, xmin ymin width height, or "
            "xcenter ycenter width height",
        )
    needed = [result.image_column]
    if result.row_per == "image":
        needed.append(result.prediction_column)
        valid = sorted(result.columns) == sorted(needed)
    else:
        valid = result.image_column in result.columns
        valid = valid and len(result.columns) == len(result.fields) + 1
    unique = all(len(set(names)) == len(names) for names in (result.fields, result.columns))
    if not (valid and unique):
        raise UserError(
            f"`columns` is {', '.join(result.columns)}",
            where=where,
            expected=f"the columns {', '.join(needed)}"
            + (" and one for each field" if result.row_per == "box" else "")
            + ", each once",
        )
    words = len(result.empty.split())
    if result.row_per == "box" and words not in (0, len(result.fields)):
        raise UserError(
            f"`empty` is {result.empty!r}",
            where=where,
            expected=f"a word for each of the {len(result.fields)} fields, between spaces",
        )
