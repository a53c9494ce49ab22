"""Print predictions in any submission format, as whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.files import write_json
from data_tools.predictions.formats.catalogue import image_names, label_names
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.table import Predictions
from data_tools.predictions.text_columns import write_text_table
from scoring.table import positions_of

if TYPE_CHECKING:
    import polars as pl


def write_in_format(
    path: str | Path,
    predictions: Predictions,
    dataset: CocoDataset,
    submission_format: SubmissionFormat,
) -> None:
    """Write predictions for exactly the images of `dataset`, in its order, whole or not at all.

    Raises:
        UserError: the format cannot express the dataset (see `image_names`, `label_names`).
    """
    import polars as pl

    ordered, image_index = _rows_in_dataset_order(predictions, dataset)
    if submission_format.row_per == "coco_json":
        write_json(path, _coco_results(predictions, ordered), indent=None)
        return
    columns = _columns(predictions, ordered, image_index, dataset, submission_format)
    names = pl.Series(image_names(submission_format, dataset), dtype=pl.String)
    counts = np.bincount(image_index, minlength=len(names))
    if submission_format.row_per == "image":
        strings = join_boxes(columns, counts, trailing_space=submission_format.trailing_space)
        strings = strings.set(pl.Series(counts == 0), submission_format.empty)
        table = {
            submission_format.image_column: names,
            submission_format.prediction_column: strings,
        }
    else:
        table = _table_of_boxes(columns, names, image_index, counts, submission_format)
    write_text_table(path, pl.DataFrame(table).select(submission_format.columns))


def keeps_area(
    predictions: Predictions, dataset: CocoDataset, submission_format: SubmissionFormat
) -> np.ndarray:
    """Return an (N,) mask of the boxes that still have an area after the format's rounding."""
    digits = submission_format.coordinate_digits
    if digits is None:
        return np.ones(len(predictions), dtype=bool)
    image_index, _ = positions_of(predictions.image_id_of_row, dataset.image_ids)
    numbers = _box_numbers(
        predictions.boxes_xyxy, predictions.sides_wh, image_index, dataset, submission_format
    )
    rounded = {
        name: np.round(values.astype(np.float64), digits) for name, values in numbers.items()
    }
    if "width" in submission_format.fields:
        return (rounded["width"] > 0) & (rounded["height"] > 0)
    return (rounded["xmax"] > rounded["xmin"]) & (rounded["ymax"] > rounded["ymin"])


def printed_lengths(
    predictions: Predictions, score_digits: int | None, coordinate_digits: int | None
) -> np.ndarray:
    """Return the (N,) characters that each box takes as `label score xmin ymin xmax ymax `."""
    columns = [
        _printed(predictions.labels, 0),
        _printed(predictions.scores, score_digits),
        *(_printed(predictions.boxes_xyxy[:, k], coordinate_digits) for k in range(4)),
    ]
    lengths = [column.str.len_bytes().to_numpy().astype(np.int64) + 1 for column in columns]
    return np.sum(lengths, axis=0)


def join_boxes(
    columns: Sequence[pl.Series], counts: np.ndarray, *, trailing_space: bool
) -> pl.Series:
    """Return one string per image from one column per field.

    Args:
        columns: each (N,), rows grouped by image.
        counts: (I,) boxes of each image.
        trailing_space: end each string that is not empty with a space.
    """
    import polars as pl

    named = {str(place): column for place, column in enumerate(columns)}
    boxes = pl.DataFrame(named).select(pl.concat_str(pl.all(), separator=" "))
    image = pl.Series("image", np.repeat(np.arange(len(counts)), counts))
    grouped = (
        boxes.to_series()
        .alias("box")
        .to_frame()
        .with_columns(image)
        .group_by("image", maintain_order=True)
        .agg(pl.col("box").str.join(" "))
    )
    end = " " if trailing_space else ""
    strings = np.full(len(counts), "", dtype=object)
    strings[grouped["image"].to_numpy()] = (grouped["box"] + end).to_numpy()
    return pl.Series(strings, dtype=pl.String)


def _rows_in_dataset_order(
    predictions: Predictions, dataset: CocoDataset
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows by image in the dataset's order, and the image position of each."""
    position, _ = positions_of(predictions.image_ids, dataset.image_ids)
    position_of_row = position[predictions.image_index_of_row]
    order = np.argsort(position_of_row, kind="stable")
    return order, position_of_row[order]


def _columns(
    predictions: Predictions,
    rows: np.ndarray,
    image_index: np.ndarray,
    dataset: CocoDataset,
    submission_format: SubmissionFormat,
) -> list[pl.Series]:
    import polars as pl

    classes = pl.Series(label_names(submission_format, dataset), dtype=pl.String)
    class_index, _ = positions_of(predictions.labels[rows], dataset.category_ids)
    corners, sides = predictions.boxes_xyxy[rows], predictions.sides_wh[rows]
    numbers = _box_numbers(corners, sides, image_index, dataset, submission_format)
    columns = []
    for field in submission_format.fields:
        if field == "label":
            columns.append(classes.gather(class_index))
        elif field == "score":
            columns.append(_printed(predictions.scores[rows], submission_format.score_digits))
        else:
            columns.append(_printed(numbers[field], submission_format.coordinate_digits))
    return columns


def _box_numbers(
    boxes_xyxy: np.ndarray,
    sides: np.ndarray,
    image_index: np.ndarray,
    dataset: CocoDataset,
    submission_format: SubmissionFormat,
) -> dict[str, np.ndarray]:
    """Return every box field; corners as they came, so that a float32 prints short."""
    centers = boxes_xyxy.astype(np.float64)[:, :2] + sides / 2
    numbers = {
        "xmin": boxes_xyxy[:, 0],
        "ymin": boxes_xyxy[:, 1],
        "xmax": boxes_xyxy[:, 2],
        "ymax": boxes_xyxy[:, 3],
        "width": sides[:, 0],
        "height": sides[:, 1],
        "xcenter": centers[:, 0],
        "ycenter": centers[:, 1],
    }
    if not submission_format.normalised:
        return numbers
    widths, heights = dataset.sizes_wh[image_index].astype(np.float64).T
    return {
        name: values / (widths if name.startswith(("x", "w")) else heights)
        for name, values in numbers.items()
    }


def _printed(values: np.ndarray, digits: int | None) -> pl.Series:
    import polars as pl

    if digits is None:
        return pl.Series(values).cast(pl.String)
    if digits == 0:
        return pl.Series(np.rint(values).astype(np.int64)).cast(pl.String)
    return pl.Series(np.round(values.astype(np.float64), digits)).cast(pl.String)


def _table_of_boxes(
    columns: list[pl.Series],
    names: pl.Series,
    image_index: np.ndarray,
    counts: np.ndarray,
    submission_format: SubmissionFormat,
) -> dict[str, pl.Series]:
    import polars as pl

    value_columns = [c for c in submission_format.columns if c != submission_format.image_column]
    texts = [column.cast(pl.String) for column in columns]
    if submission_format.empty:
        empty_images = np.flatnonzero(counts == 0)
        order = np.argsort(np.concatenate([image_index, empty_images]), kind="stable")
        image_index = np.concatenate([image_index, empty_images])[order]
        fillers = submission_format.empty.split()
        texts = [
            pl.concat([text, pl.repeat(filler, len(empty_images), eager=True)]).gather(order)
            for text, filler in zip(texts, fillers, strict=True)
        ]
    return {
        submission_format.image_column: names.gather(image_index),
        **dict(zip(value_columns, texts, strict=True)),
    }


def _coco_results(predictions: Predictions, rows: np.ndarray) -> list[dict[str, object]]:
    corners, sides = predictions.boxes_xyxy[rows, :2], predictions.sides_wh[rows]
    boxes = np.concatenate([corners, sides], axis=1)
    return [
        {"image_id": image_id, "category_id": label, "bbox": bbox, "score": score}
        for image_id, label, bbox, score in zip(
            predictions.image_id_of_row[rows].tolist(),
            predictions.labels[rows].tolist(),
            boxes.tolist(),
            # The shortest text of a float32, not the seventeen digits of its float64.
            [float(str(score)) for score in predictions.scores[rows]],
            strict=True,
        )
    ]
