"""Submission formats as data: what a file's columns and numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from data_tools.coco import CocoDataset
from data_tools.errors import UserError

BUILT_IN = Path(__file__).with_name("formats.yaml")
DEFAULT_FORMAT = "aistages"
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


def load_formats(format_file: str | Path | None = None) -> dict[str, SubmissionFormat]:
    """Return the built-in formats, and those of the user's own YAML file, by name.

    Raises:
        UserError: the file is missing or no YAML, has an unknown key, or does not make sense.
    """
    formats = _formats_of_file(BUILT_IN)
    if format_file is not None:
        formats.update(_formats_of_file(Path(format_file)))
    return formats


def find_format(name: str, format_file: str | Path | None = None) -> SubmissionFormat:
    """Return the format of that name; an unknown one is answered with those that exist."""
    formats = load_formats(format_file)
    if name not in formats:
        raise UserError(
            f"there is no format {name!r}",
            expected=f"one of {', '.join(formats)}",
            next_step="write your own in ten lines and give it with --format-file "
            "(see docs/submission.md)",
        )
    return formats[name]


def image_names(submission_format: SubmissionFormat, dataset: CocoDataset) -> list[str]:
    """Return what the format calls each image of the dataset, in the dataset's order.

    Raises:
        UserError: two images would be called the same.
    """
    if submission_format.image_key == "id":
        return [str(image_id) for image_id in dataset.image_ids.tolist()]
    if submission_format.image_key == "file_name":
        return list(dataset.file_names)
    names = [PurePosixPath(file_name).stem for file_name in dataset.file_names]
    if len(set(names)) != len(names):
        raise UserError(
            f"{len(names) - len(set(names))} images share their name without folder and extension",
            where=dataset.source,
            expected=f"different names, as format {submission_format.name!r} writes only those",
            next_step="use a format with `image_key: file_name`",
        )
    return names


def with_classes(dataset: CocoDataset, labels: np.ndarray) -> CocoDataset:
    """Return the dataset with these category ids as its classes, if it lists none itself.

    Competitions hand out a `test.json` of images only; then the labels in use are all there is.
    """
    if dataset.categories:
        return dataset
    ids = np.unique(labels).tolist()
    return replace(dataset, categories=tuple({"id": i, "name": str(i)} for i in ids))


def label_names(submission_format: SubmissionFormat, dataset: CocoDataset) -> list[str]:
    """Return what the format calls each class, in the order of the dataset's categories.

    Raises:
        UserError: a class name holds white space inside a format that separates by it, or the
            format has no label and the dataset not exactly one class.
    """
    if "label" not in submission_format.fields and submission_format.row_per != "coco_json":
        if len(dataset.categories) != 1:
            raise UserError(
                f"format {submission_format.name!r} has no label, but the dataset has "
                f"{len(dataset.categories)} classes",
                where=dataset.source,
                expected="a dataset with one class, or a format with the field `label`",
            )
        return [str(category_id) for category_id in dataset.category_ids.tolist()]
    if submission_format.label_key == "position":
        return [str(position) for position in range(len(dataset.categories))]
    if submission_format.label_key == "id":
        return [str(category_id) for category_id in dataset.category_ids.tolist()]
    if len(set(dataset.category_names)) != len(dataset.category_names):
        raise UserError(
            f"two classes have the same name, which is all that format "
            f"{submission_format.name!r} writes",
            where=dataset.source,
            expected="different class names, or a format with `label_key: id`",
        )
    spaced = [name for name in dataset.category_names if name.split() != [name]]
    if spaced and submission_format.row_per == "image":
        raise UserError(
            f"the class name {spaced[0]!r} has white space, which separates the numbers of format "
            f"{submission_format.name!r}",
            where=dataset.source,
            expected="class names without white space, or a format with `label_key: id`",
        )
    return list(dataset.category_names)


def _formats_of_file(path: Path) -> dict[str, SubmissionFormat]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"the format file is not valid YAML ({error})", where=path) from None
    except FileNotFoundError:
        raise UserError("the format file does not exist", where=path) from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise UserError(
            "the format file is not a table of formats",
            where=path,
            expected="`name:` and below it the keys of the format",
            next_step="copy a block of submit/formats.yaml",
        )
    return {str(name): _checked_format(str(name), keys, path) for name, keys in content.items()}


def _checked_format(name: str, keys: dict[str, Any], path: Path) -> SubmissionFormat:
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
    if not valid or len(set(result.fields)) != len(result.fields):
        raise UserError(
            f"`columns` is {', '.join(result.columns)}",
            where=where,
            expected=f"the columns {', '.join(needed)}"
            + (" and one for each field" if result.row_per == "box" else ""),
        )
