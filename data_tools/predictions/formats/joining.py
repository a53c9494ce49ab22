"""Which image and which class a row of a submission means, written exactly or nearly so."""

from __future__ import annotations

from posixpath import splitext
from typing import TYPE_CHECKING

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.coco.names import name_forms, positions_by_any_name
from data_tools.predictions.formats.catalogue import image_names
from data_tools.predictions.formats.schema import SubmissionFormat

if TYPE_CHECKING:
    import polars as pl

# What pandas calls its row numbers: written without `index=False`, read back, written again.
INDEX_NAMES = ("", "index")
UNNAMED = "Unnamed: "


def without_index(table: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """Return a table without pandas' row numbers in front, and what their last column is called.

    Each time that a file is read and written again without care there is one more such column.
    """
    dropped = None
    while table.width > 1 and _is_index(table[table.columns[0]]):
        dropped = table.columns[0]
        table = table.drop(dropped)
    return table, dropped


def _is_index(column: pl.Series) -> bool:
    is_called_so = column.name in INDEX_NAMES or column.name.startswith(UNNAMED)
    return is_called_so and bool(column.str.contains(r"^\d+$").all())


def image_index_of_names(
    names: list[str], submission_format: SubmissionFormat, dataset: CocoDataset
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (R,) position of each name's image, -1 for none, and which are not named exactly.

    A folder or an ending too many or too few does not matter where only one image can be meant.
    """
    exact = {name: place for place, name in enumerate(image_names(submission_format, dataset))}
    index = np.array([exact.get(name, -1) for name in names], dtype=np.int64)
    loose = np.zeros(len(names), dtype=bool)
    unknown = np.flatnonzero(index < 0).tolist()
    if unknown and submission_format.image_key != "id":
        by_form = positions_by_any_name(dataset.file_names)
        for row in unknown:
            name = names[row].replace("\\", "/")
            places = [by_form[form] for form in name_forms(name) if form in by_form]
            # The most exact form decides; None is a name of several images.
            place = places[0] if places else None
            if place is not None and _is_part_of_other(name, dataset.file_names[place]):
                index[row], loose[row] = place, True
    return index, loose


def _is_part_of_other(name: str, own: str) -> bool:
    """Whether one path is the end of the other, endings aside: train/1.jpg is not test/1.jpg."""
    own_forms = {own, splitext(own)[0]}
    return any(
        form == own_form or form.endswith(f"/{own_form}") or own_form.endswith(f"/{form}")
        for form in _with_and_without_ending(name)
        for own_form in own_forms
    )


def _with_and_without_ending(name: str) -> set[str]:
    """Return a path; also without its ending, if that is one of a picture's kind.

    The last number of a DICOM name such as 1.2.840.9 is no ending: 1.2.840.7 is another image.
    """
    stem, ending = splitext(name)
    has_ending = ending[1:2].isalpha() and len(ending) <= len(".jpeg")
    return {name, stem} if has_ending else {name}


def whole_numbers(labels: pl.Series) -> np.ndarray:
    """Return the labels that are whole numbers, written as 7 or 7.0."""
    import polars as pl

    texts = labels.str.replace(r"\.0+$", "")
    return texts.cast(pl.Int64, strict=False).drop_nulls().to_numpy()


def class_index_of_labels(
    labels: pl.Series, classes: list[str], submission_format: SubmissionFormat
) -> tuple[np.ndarray, int]:
    """Return the (N,) position of each label's class, and how many are written as 7.0."""
    import polars as pl

    decimal = 0
    if submission_format.label_key != "name":
        whole = labels.str.replace(r"\.0+$", "")
        decimal = int((whole != labels).sum())
        labels = whole
    index = labels.replace_strict(classes, list(range(len(classes))), default=-1,
                                  return_dtype=pl.Int64)  # fmt: skip
    return index.fill_null(-1).to_numpy(), decimal
