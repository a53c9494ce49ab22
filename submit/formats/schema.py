"""What a block of a format file may say, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError

MOST_DIGITS = 9
FIELDS = ("label", "score", "xmin", "ymin", "xmax", "ymax", "width", "height", "xcenter", "ycenter")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
BOX_FIELDS = (
    set(CORNERS),
    {"xmin", "ymin", "width", "height"},
    {"xcenter", "ycenter", "width", "height"},
)
CHOICES = {
    "row_per": ("image", "box", "coco_json"),
    "image_key": ("file_name", "stem", "id"),
    "label_key": ("id", "name", "position"),
}


@dataclass(frozen=True)
class SubmissionFormat:
    """One submission format.

    Attributes:
        name: what `--format` calls it.
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

    name: str
    description: str = ""
    columns: tuple[str, ...] = ()
    image_column: str = ""
    prediction_column: str = "PredictionString"
    image_key: str = "file_name"
    label_key: str = "id"
    fields: tuple[str, ...] = ()
    row_per: str = "image"
    normalised: bool = False
    trailing_space: bool = False
    empty: str = ""
    score_digits: int | None = None
    coordinate_digits: int | None = None


def checked_format(name: str, keys: dict[str, Any], path: Path) -> SubmissionFormat:
    """Return the format that a block of YAML describes.

    Args:
        name: the block's name.
        keys: its content.
        path: the file, for messages.

    Raises:
        UserError: an unknown key, or a value that does not make sense.
    """
    where = f"{path}, format {name!r}"
    known = [entry.name for entry in fields(SubmissionFormat) if entry.name != "name"]
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise UserError(
            f"unknown key `{unknown[0]}`", where=where, expected=f"one of {', '.join(known)}"
        )
    for key, choices in CHOICES.items():
        if keys.get(key, choices[0]) not in choices:
            raise UserError(
                f"`{key}` is {keys[key]!r}", where=where, expected=f"one of {', '.join(choices)}"
            )
    _check_types(keys, where)
    lists = {key: tuple(keys[key]) for key in ("columns", "fields") if key in keys}
    result = SubmissionFormat(name=name, **{**keys, **lists})
    if result.row_per != "coco_json":
        _check_columns(result, where)
    return result


def _check_types(keys: dict[str, Any], where: str) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "description": (str,),
        "columns": (list,),
        "image_column": (str,),
        "prediction_column": (str,),
        "fields": (list,),
        "normalised": (bool,),
        "trailing_space": (bool,),
        "empty": (str,),
        "score_digits": (int, type(None)),
        "coordinate_digits": (int, type(None)),
    }
    for key in ("columns", "fields"):
        odd = [entry for entry in keys.get(key) or () if not isinstance(entry, str)]
        if odd and isinstance(keys[key], list):
            raise UserError(f"`{key}` has {odd[0]!r}", where=where, expected="texts, in quotes")
    for key in ("score_digits", "coordinate_digits"):
        if isinstance(keys.get(key), int) and not 0 <= keys[key] <= MOST_DIGITS:
            raise UserError(f"`{key}` is {keys[key]}", where=where, expected=f"0 to {MOST_DIGITS}")
    for key, kind in kinds.items():
        if key in keys and (
            not isinstance(keys[key], kind) or (bool not in kind and isinstance(keys[key], bool))
        ):
            names = " or ".join("empty" if k is type(None) else k.__name__ for k in kind)
            raise UserError(f"`{key}` is {keys[key]!r}", where=where, expected=names)


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
