"""A submission as it stands in its file, in any format, before anything is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.coco_results import read_coco_results
from data_tools.predictions.formats.catalogue import label_names, single_class, with_classes
from data_tools.predictions.formats.joining import (
    class_index_of_labels,
    image_index_of_names,
    whole_numbers,
    without_index,
)
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.text_columns import header_text, read_text_table

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class RawSubmission:
    """A submission as it stands in its file, before anything is refused.

    Attributes:
        columns: the header as found.
        names: (R,) image name of each row of the file; with one row per box, each name once.
        strings: (R,) the text of each row's boxes, when there is one row per image.
        field_counts: (R,) numbers found in each row.
        row_of_box: (N,) position in `names` of each box; rows whose numbers do not divide into
            boxes have none.
        label_texts: (N,) label of each box as written; the single class where there is no label.
        category_ids: (C,) category ids of the dataset; where it lists none, those of the file.
        class_index: (N,) position in `category_ids`; -1 for an unknown label.
        image_index: (R,) position in the dataset's images; -1 for an unknown name.
        scores: (N,) float64; NaN for what is no number.
        boxes_xyxy: (N, 4) float64 pixels; NaN likewise, and where the image is unknown.
        sides_wh: (N, 2) float64 widths and heights in pixels, where the format has those.
        not_a_number: (N,) bool, boxes with a text that is no number (nan and inf are numbers).
        joined_by_name: whether the `image_id`s of COCO results say other images than their names.
        index_column: the header of a column of row numbers that pandas left in front, if any.
        loosely_named: (R,) bool, names that are an image's but for folder or ending.
        decimal_labels: labels written as 7.0.
    """

    columns: tuple[str, ...]
    names: list[str]
    strings: pl.Series | None
    field_counts: np.ndarray
    row_of_box: np.ndarray
    label_texts: pl.Series
    category_ids: np.ndarray
    class_index: np.ndarray
    image_index: np.ndarray
    scores: np.ndarray
    boxes_xyxy: np.ndarray
    sides_wh: np.ndarray | None
    not_a_number: np.ndarray
    joined_by_name: bool = False
    index_column: str | None = None
    loosely_named: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    decimal_labels: int = 0


def read_raw(
    path: Path, submission_format: SubmissionFormat, dataset: CocoDataset
) -> RawSubmission:
    """Read a file without refusing its content.

    Raises:
        UserError: the file is missing, torn, or has other columns than the format.
    """
    if submission_format.row_per == "coco_json":
        return _raw_of_coco_results(path, submission_format, dataset)
    return raw_of_table(read_text_table(path), submission_format, dataset, path)


def raw_of_table(
    table: pl.DataFrame, submission_format: SubmissionFormat, dataset: CocoDataset, path: Path
) -> RawSubmission:
    """Take the columns of a CSV apart; row numbers that pandas left in front are passed over.

    Raises:
        UserError: the table has other columns than the format.
    """
    wanted = sorted(submission_format.columns)
    rows, index_column = (table, None) if sorted(table.columns) == wanted else without_index(table)
    if sorted(rows.columns) != wanted:
        raise UserError(
            f"the header is {header_text(table.columns)!r}",
            where=path,
            expected=f"{','.join(submission_format.columns)}, the header of format "
            f"{submission_format.name!r}",
            next_step="choose the format with --format; `python -m submit formats` lists them",
        )
    of_rows = _raw_of_image_rows if submission_format.row_per == "image" else _raw_of_box_rows
    return replace(of_rows(rows, submission_format, dataset), index_column=index_column)


def _raw_of_image_rows(
    table: pl.DataFrame, submission_format: SubmissionFormat, dataset: CocoDataset
) -> RawSubmission:
    import polars as pl

    strings = table[submission_format.prediction_column]
    cleaned = strings.str.strip_chars().str.replace_all(r"\s+", " ")
    is_empty = (cleaned == "") | (cleaned.str.to_lowercase() == "nan")
    if submission_format.empty:
        is_empty |= cleaned == " ".join(submission_format.empty.split())
    tokens = cleaned.set(is_empty, None).str.split(" ")
    counts = tokens.list.len().fill_null(0).to_numpy()
    per_box = len(submission_format.fields)
    whole = (counts % per_box == 0) & (counts > 0)
    flat = tokens.filter(pl.Series(whole)).explode() if whole.any() else pl.Series([""]).head(0)
    columns = {
        field: flat.gather_every(per_box, place)
        for place, field in enumerate(submission_format.fields)
    }
    row_of_box = np.repeat(np.arange(len(counts)), np.where(whole, counts // per_box, 0))
    names = table[submission_format.image_column].to_list()
    return _raw(
        tuple(table.columns), names, strings, counts, row_of_box, columns, submission_format,
        dataset,
    )  # fmt: skip


def _raw_of_box_rows(
    table: pl.DataFrame, submission_format: SubmissionFormat, dataset: CocoDataset
) -> RawSubmission:
    import polars as pl

    names = table[submission_format.image_column]
    value_columns = [c for c in submission_format.columns if c != submission_format.image_column]
    if submission_format.empty:
        line = pl.concat_str([pl.col(c).str.strip_chars() for c in value_columns], separator=" ")
        is_box = table.select(line).to_series() != " ".join(submission_format.empty.split())
    else:
        is_box = pl.repeat(True, len(table), eager=True)
    unique = names.unique(maintain_order=True)
    row_of_name = {name: row for row, name in enumerate(unique.to_list())}
    row_of_box = np.array(
        [row_of_name[name] for name in names.filter(is_box).to_list()], dtype=np.int64
    )
    boxes = table.filter(is_box)
    columns = {
        field: boxes[column].str.strip_chars()
        for field, column in zip(submission_format.fields, value_columns, strict=True)
    }
    counts = np.bincount(row_of_box, minlength=len(unique)) * len(submission_format.fields)
    return _raw(
        tuple(table.columns), unique.to_list(), None, counts, row_of_box, columns,
        submission_format, dataset,
    )  # fmt: skip


def _raw_of_coco_results(
    path: Path, submission_format: SubmissionFormat, dataset: CocoDataset
) -> RawSubmission:
    import polars as pl

    results = read_coco_results(path, dataset)
    names = list(map(str, results.image_ids.tolist()))
    unique = list(dict.fromkeys(names))
    row_of_name = {name: row for row, name in enumerate(unique)}
    row_of_box = np.array([row_of_name[name] for name in names], dtype=np.int64)
    boxes_xywh = dict(zip(("xmin", "ymin", "width", "height"), results.boxes_xywh.T, strict=True))
    columns = {
        "label": pl.Series(list(map(str, results.labels.tolist())), dtype=pl.String),
        "score": pl.Series(results.scores),
        **{name: pl.Series(numbers) for name, numbers in boxes_xywh.items()},
    }
    counts = np.bincount(row_of_box, minlength=len(unique)) * len(columns)
    by_id = SubmissionFormat(name=submission_format.name, image_key="id", row_per="coco_json")
    raw = _raw((), unique, None, counts, row_of_box, columns, by_id, dataset)
    return replace(raw, joined_by_name=results.joined_by_name)


def _raw(
    header: tuple[str, ...],
    names: list[str],
    strings: pl.Series | None,
    field_counts: np.ndarray,
    row_of_box: np.ndarray,
    columns: dict[str, pl.Series],
    submission_format: SubmissionFormat,
    dataset: CocoDataset,
) -> RawSubmission:
    import polars as pl

    labels = columns.get("label")
    if not dataset.categories and submission_format.label_key == "id":
        # Without a label there is a single class, whatever its id.
        ids = np.ones(1, dtype=np.int64) if labels is None else whole_numbers(labels)
        dataset = with_classes(dataset, ids)
    classes = label_names(submission_format, dataset)
    image_index, loosely_named = image_index_of_names(names, submission_format, dataset)
    if labels is None:
        labels = pl.repeat(classes[single_class(dataset) or 0], len(row_of_box), eager=True)
    numeric = {field: column for field, column in columns.items() if field != "label"}
    numbers = {field: column.cast(pl.Float64, strict=False) for field, column in numeric.items()}
    not_a_number = np.zeros(len(row_of_box), dtype=bool)
    for column in numbers.values():
        not_a_number |= column.is_null().to_numpy()
    arrays = {field: column.fill_null(np.nan).to_numpy() for field, column in numbers.items()}
    class_index, decimal_labels = class_index_of_labels(labels, classes, submission_format)
    boxes, sides = _corners(arrays, submission_format, dataset, image_index[row_of_box])
    return RawSubmission(
        columns=header,
        names=names,
        strings=strings,
        field_counts=np.asarray(field_counts, dtype=np.int64),
        row_of_box=row_of_box,
        label_texts=labels,
        category_ids=dataset.category_ids,
        class_index=class_index,
        image_index=image_index,
        scores=arrays["score"],
        boxes_xyxy=boxes,
        sides_wh=sides,
        not_a_number=not_a_number,
        loosely_named=loosely_named,
        decimal_labels=decimal_labels,
    )


def _corners(
    arrays: dict[str, np.ndarray],
    submission_format: SubmissionFormat,
    dataset: CocoDataset,
    image_index_of_box: np.ndarray,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return corners in pixels, and the sides where the format states them."""
    sides = None
    if "width" not in arrays:
        corners = [arrays["xmin"], arrays["ymin"], arrays["xmax"], arrays["ymax"]]
    else:
        width, height = arrays["width"], arrays["height"]
        xmin = arrays["xmin"] if "xmin" in arrays else arrays["xcenter"] - width / 2
        ymin = arrays["ymin"] if "ymin" in arrays else arrays["ycenter"] - height / 2
        corners = [xmin, ymin, xmin + width, ymin + height]
        sides = np.stack([width, height], axis=1).astype(np.float64)
    boxes = np.stack(corners, axis=1).astype(np.float64)
    if submission_format.normalised and len(boxes):
        sizes = dataset.sizes_wh[image_index_of_box].astype(np.float64)
        boxes = boxes * np.concatenate([sizes, sizes], axis=1)
        boxes[image_index_of_box < 0] = np.nan
        sides = None if sides is None else sides * sizes
    return boxes, sides
