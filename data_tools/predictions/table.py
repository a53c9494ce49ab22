"""Boxes with scores for a set of images: the one table that models, fusion and scoring share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance

RowOrder = Literal["score", "file"]


@dataclass(frozen=True)
class Predictions:
    """Predicted boxes, grouped by image; checked at construction.

    Image i owns the rows `offsets[i]:offsets[i + 1]`; an image without boxes owns none and is
    still listed. Arrays are made read-only, so that no caller can change another's table.

    Attributes:
        image_ids: (I,) int64, ascending, each once.
        offsets: (I + 1,) int64, from 0 to N, never decreasing.
        labels: (N,) int64 category ids.
        scores: (N,) in [0, 1]; float32 or float64, as they came.
        boxes_xyxy: (N, 4) pixels; float32 or float64, as they came.
        views: (N,) uint8 index into `provenance.views`.
        row_order: "score": each image's rows in descending score. "file": as in the file they came
            from, which is what the competition's server matches by.
        stated_sides_wh: (N, 2) widths and heights, where the file states them instead of a second
            corner: `xmax - xmin` can differ from them in the last bit, which decides on the brink
            of an IoU threshold. None where it does not (see `sides_wh`).
    """

    image_ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes_xyxy: np.ndarray
    views: np.ndarray = None  # type: ignore[assignment]  # zeros where it is not given
    provenance: Provenance = field(default_factory=Provenance)
    row_order: RowOrder = "score"
    stated_sides_wh: np.ndarray | None = None

    def __post_init__(self) -> None:
        columns: dict[str, np.ndarray] = {
            "image_ids": np.array(self.image_ids, dtype=np.int64, ndmin=1),
            "offsets": np.array(self.offsets, dtype=np.int64, ndmin=1),
            "labels": np.array(self.labels, dtype=np.int64, ndmin=1),
            "scores": _floats(self.scores).reshape(-1),
            "boxes_xyxy": _floats(self.boxes_xyxy).reshape(-1, 4),
        }
        if self.stated_sides_wh is not None:
            columns["stated_sides_wh"] = _floats(self.stated_sides_wh).reshape(-1, 2)
        views = np.zeros(len(columns["scores"]), np.uint8) if self.views is None else self.views
        columns["views"] = np.array(views, dtype=np.uint8, ndmin=1)
        for name, column in columns.items():
            column.setflags(write=False)
            object.__setattr__(self, name, column)
        _check(self)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def sides_wh(self) -> np.ndarray:
        """(N, 2) float64 widths and heights: as the file states them, else from the corners."""
        if self.stated_sides_wh is not None:
            return self.stated_sides_wh.astype(np.float64)
        boxes = self.boxes_xyxy.astype(np.float64)
        return boxes[:, 2:] - boxes[:, :2]

    def reaches(self, threshold: float) -> np.ndarray:
        """Return an (N,) mask of the scores at or above a threshold, in the scores' precision.

        A score that was written as `0.3` reaches 0.3 in either precision.
        """
        return self.scores >= self.scores.dtype.type(threshold)

    @property
    def image_index_of_row(self) -> np.ndarray:
        """(N,) int64 position in `image_ids` of each row."""
        return np.repeat(np.arange(len(self.image_ids)), np.diff(self.offsets))

    @property
    def image_id_of_row(self) -> np.ndarray:
        """(N,) int64 image id of each row."""
        return np.repeat(self.image_ids, np.diff(self.offsets))

    def rows(self, image_id: int) -> slice:
        """Return the rows of one image; KeyError if it was not predicted."""
        index = int(np.searchsorted(self.image_ids, image_id))
        if index == len(self.image_ids) or self.image_ids[index] != image_id:
            raise KeyError(image_id)
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def filtered(self, keep: np.ndarray) -> Predictions:
        """Return the rows where the (N,) mask is true; every image stays listed."""
        counts = np.bincount(self.image_index_of_row[keep], minlength=len(self.image_ids))
        return Predictions(
            image_ids=self.image_ids,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            labels=self.labels[keep],
            scores=self.scores[keep],
            boxes_xyxy=self.boxes_xyxy[keep],
            views=self.views[keep],
            provenance=self.provenance,
            row_order=self.row_order,
            stated_sides_wh=_rows_of(self.stated_sides_wh, keep),
        )

    def sorted_by_score(self) -> Predictions:
        """Return the same boxes with each image's rows descending by score; ties keep order."""
        if self.row_order == "score":
            return self
        order = np.lexsort((-self.scores, self.image_index_of_row))
        return Predictions(
            image_ids=self.image_ids,
            offsets=self.offsets,
            labels=self.labels[order],
            scores=self.scores[order],
            boxes_xyxy=self.boxes_xyxy[order],
            views=self.views[order],
            provenance=self.provenance,
            stated_sides_wh=_rows_of(self.stated_sides_wh, order),
        )


def predictions_from_rows(
    image_ids: np.ndarray,
    row_image_ids: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    boxes_xyxy: np.ndarray,
    *,
    views: np.ndarray | None = None,
    provenance: Provenance | None = None,
    row_order: RowOrder = "score",
    stated_sides_wh: np.ndarray | None = None,
) -> Predictions:
    """Group rows in any order into `Predictions`.

    Args:
        image_ids: every image predicted, in any order, also those without boxes.
        row_image_ids: (N,) image id of each row.
        labels, scores, boxes_xyxy, views, stated_sides_wh: as in `Predictions`, in the order of
            `row_image_ids`.
        provenance: origin of the boxes.
        row_order: "score" sorts each image's rows by descending score (stable); "file" keeps them.

    Raises:
        UserError: a row's image is not among `image_ids`, or a column breaks the contract.
    """
    image_ids = np.sort(np.asarray(image_ids, dtype=np.int64))
    row_image_ids = np.asarray(row_image_ids, dtype=np.int64)
    scores = _floats(scores).reshape(-1)
    index = np.searchsorted(image_ids, row_image_ids)
    known = index < len(image_ids)
    known[known] = image_ids[index[known]] == row_image_ids[known]
    if not known.all():
        raise UserError(
            f"{int((~known).sum())} rows belong to images that are not in the dataset, "
            f"the first is image {int(row_image_ids[~known][0])}",
            expected="image ids of the dataset that was predicted",
            next_step="give the COCO file that these predictions were made for",
        )
    if row_order == "score":
        order = np.lexsort((-scores, index))
    else:
        order = np.argsort(index, kind="stable")
    counts = np.bincount(index, minlength=len(image_ids))
    return Predictions(
        image_ids=image_ids,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=np.asarray(labels)[order],
        scores=scores[order],
        boxes_xyxy=np.asarray(boxes_xyxy).reshape(-1, 4)[order],
        views=np.zeros(len(order), np.uint8) if views is None else np.asarray(views)[order],
        provenance=provenance or Provenance(),
        row_order=row_order,
        stated_sides_wh=_rows_of(stated_sides_wh, order),
    )


def _floats(values: np.ndarray) -> np.ndarray:
    """Return a copy as float32 where that is what came, else as float64."""
    values = np.asarray(values)
    return np.array(values, dtype=np.float32 if values.dtype == np.float32 else np.float64)


def _rows_of(column: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if column is None else column[rows]


def _check(predictions: Predictions) -> None:
    _check_shapes(predictions)
    _check_values(predictions)


def _check_shapes(predictions: Predictions) -> None:
    images, rows = len(predictions.image_ids), len(predictions.scores)
    expected_shapes = {
        "image_ids": (images,),
        "offsets": (images + 1,),
        "labels": (rows,),
        "scores": (rows,),
        "boxes_xyxy": (rows, 4),
        "views": (rows,),
    }
    if predictions.stated_sides_wh is not None:
        expected_shapes["stated_sides_wh"] = (rows, 2)
    for name, expected in expected_shapes.items():
        shape = getattr(predictions, name).shape
        if shape != expected:
            raise UserError(f"predictions: `{name}` has shape {shape}", expected=f"{expected}")
    if (np.diff(predictions.image_ids) <= 0).any():
        raise UserError("predictions: `image_ids` do not rise", expected="ascending, each once")
    offsets = predictions.offsets
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 0).any():
        raise UserError("predictions: `offsets` are off", expected=f"rising from 0 to {rows}")


def _check_values(predictions: Predictions) -> None:
    boxes, scores = predictions.boxes_xyxy, predictions.scores
    # What a float32 cannot hold is no pixel, and infinite in the competition's metric. Not above
    # the limit would also be true of NaN.
    finite = np.all(np.abs(boxes) <= np.finfo(np.float32).max, axis=1)
    _refuse_rows(predictions, ~finite, "boxes_xyxy", boxes, "finite pixels")
    inside_out = np.any(boxes[:, 2:] < boxes[:, :2], axis=1)
    _refuse_rows(predictions, inside_out, "boxes_xyxy", boxes, "xmin <= xmax and ymin <= ymax")
    in_range = np.logical_and(scores >= 0, scores <= 1)
    _refuse_rows(predictions, ~in_range, "scores", scores, "numbers in [0, 1]")
    view_known = np.less(predictions.views, len(predictions.provenance.views))
    names = f"below {len(predictions.provenance.views)}, one per provenance view"
    _refuse_rows(predictions, ~view_known, "views", predictions.views, names)
    if predictions.row_order == "score" and len(scores):
        rises = np.zeros(len(scores), dtype=bool)
        same_image = np.diff(predictions.image_index_of_row) == 0
        rises[1:] = (np.diff(scores) > 0) & same_image
        _refuse_rows(predictions, rises, "scores", scores, "descending scores within an image")
    elif predictions.row_order not in ("score", "file"):
        raise UserError(
            f"predictions: `row_order` is {predictions.row_order!r}", expected="'score' or 'file'"
        )


def _refuse_rows(
    predictions: Predictions, bad: np.ndarray, name: str, column: np.ndarray, expected: str
) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    index = int(np.searchsorted(predictions.offsets, row, side="right")) - 1
    raise UserError(
        f"predictions: `{name}` is {column[row].tolist()} ({int(bad.sum())} such rows)",
        where=f"row {row}, image {int(predictions.image_ids[index])}",
        expected=expected,
    )
