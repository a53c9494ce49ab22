"""The submission formats by name, and what each calls images and classes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.declared.parsing import load_declared
from data_tools.ground.errors import UserError
from data_tools.predictions.formats.schema import SubmissionFormat, checked_formats

BUILT_IN = Path(__file__).with_name("formats.yaml")
DEFAULT_FORMAT = "aistages"


def load_formats(format_file: str | Path | None = None) -> dict[str, SubmissionFormat]:
    """Return the built-in formats, and those of the user's own YAML file, by name.

    Raises:
        UserError: the file is missing or no YAML, has an unknown key, or does not make sense.
    """
    own = {} if format_file is None else _formats_of_file(Path(format_file))
    return {**_built_in_formats(), **own}


def find_format(name: str | None, format_file: str | Path | None = None) -> SubmissionFormat:
    """Return the format of that name, without a name the default.

    Raises:
        UserError: no format has that name (the message lists them), or there is a format file but
            no name, so that its formats would be passed over.
    """
    formats = load_formats(format_file)
    if name is None and format_file is not None:
        raise UserError(
            "there is a --format-file, but no --format",
            where=format_file,
            expected=f"--format with one of {', '.join(formats)}",
        )
    name = name or DEFAULT_FORMAT
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


def refuse_unlisted_classes(submission_format: SubmissionFormat, dataset: CocoDataset) -> None:
    """Raise `UserError` if the format needs names or places of classes and the dataset has none."""
    has_label = "label" in submission_format.fields
    if has_label and submission_format.label_key != "id" and not dataset.categories:
        raise UserError(
            f"the file lists no classes, but format {submission_format.name!r} writes the "
            f"{submission_format.label_key} of each",
            where=dataset.source,
            expected="`categories` in the file of the images",
            next_step="copy them from train.json, or use a format with `label_key: id`",
        )


def single_class(dataset: CocoDataset) -> int | None:
    """Return the position of the only class, None if there are several.

    Roboflow writes the name of the project as one more category, above the others: it is no class
    where no box has it.
    """
    categories = dataset.categories
    if len(categories) == 2:
        in_use = {annotation["category_id"] for annotation in dataset.annotations}
        for root, other in ((0, 1), (1, 0)):
            name = categories[root]["name"]
            is_above = categories[other].get("supercategory") == name != categories[other]["name"]
            if is_above and categories[root]["id"] not in in_use:
                return other
    return 0 if len(categories) == 1 else None


def label_names(submission_format: SubmissionFormat, dataset: CocoDataset) -> list[str]:
    """Return what the format calls each class, in the order of the dataset's categories.

    Raises:
        UserError: a class name holds white space inside a format that separates by it, the format
            has no label and the dataset not exactly one class, or the format goes by names or
            positions of classes and the dataset lists none.
    """
    refuse_unlisted_classes(submission_format, dataset)
    if "label" not in submission_format.fields and submission_format.row_per != "coco_json":
        if single_class(dataset) is None:
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


@cache
def _built_in_formats() -> dict[str, SubmissionFormat]:
    return _formats_of_file(BUILT_IN)


def _formats_of_file(path: Path) -> dict[str, SubmissionFormat]:
    return checked_formats(load_declared(path), path)
