"""What a block of a format file may say, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from data_tools.ground.declared.checking import EXACT, checked
from data_tools.ground.declared.wording import Fault, message_of
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
        next_step="data_tools/predictions/formats/formats.yaml shows each key in use",
    )
    formats = {
        name: SubmissionFormat(name=name, **vars(block)) for name, block in described.items()
    }
    faults = [
        Fault((name,), f"format {name!r}: {text}")
        for name, one in formats.items()
        if one.row_per != "coco_json"
        for text in _column_faults(one)
    ]
    if faults:
        raise UserError(
            message_of(faults),
            where=path,
            next_step="data_tools/predictions/formats/formats.yaml shows some that go together",
        )
    return formats


def _column_faults(one: SubmissionFormat) -> list[str]:
    """Say which of `fields`, `columns` and `empty` do not go together."""
    return [*_field_faults(one), *_header_faults(one), *_empty_faults(one)]


def _field_faults(one: SubmissionFormat) -> list[str]:
    unknown = [field for field in one.fields if field not in FIELDS]
    if unknown:
        return [f"`fields` has {unknown[0]!r}, expected some of {', '.join(FIELDS)}"]
    box_fields = [field for field in one.fields if field not in ("label", "score")]
    is_repeated = len(set(one.fields)) != len(one.fields)
    if is_repeated or set(box_fields) not in BOX_FIELDS or "score" not in one.fields:
        return [
            f"`fields` is {', '.join(one.fields)}, expected `score` and a box, each once: "
            "xmin ymin xmax ymax, xmin ymin width height, or xcenter ycenter width height"
        ]
    return []


def _header_faults(one: SubmissionFormat) -> list[str]:
    needed = [one.image_column]
    if one.row_per == "image":
        needed.append(one.prediction_column)
        valid = sorted(one.columns) == sorted(needed)
    else:
        valid = one.image_column in one.columns and len(one.columns) == len(one.fields) + 1
    if valid and len(set(one.columns)) == len(one.columns):
        return []
    per_field = " and one for each field" if one.row_per == "box" else ""
    return [
        f"`columns` is {', '.join(one.columns)}, expected the columns {', '.join(needed)}"
        f"{per_field}, each once"
    ]


def _empty_faults(one: SubmissionFormat) -> list[str]:
    if one.row_per == "box" and len(one.empty.split()) not in (0, len(one.fields)):
        return [
            f"`empty` is {one.empty!r}, expected a word for each of the {len(one.fields)} fields, "
            "between spaces"
        ]
    return []
