"""Truth and predictions as flat arrays, joined by image and class: what both metrics match on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.table import Predictions

MAX_LISTED = 3
# Ids closer together than this are looked up in a table instead of by binary search.
LARGEST_LOOKUP = 1_000_000


@dataclass(frozen=True)
class ScoringTable:
    """Predictions and truth of the same images, classes numbered 0..C-1 in the dataset's order.

    Attributes:
        image_ids: (I,) int64, ascending; an image index is a position in it.
        category_ids: (C,) int64 in the order of the truth file.
        category_names: (C,) names in the same order, made different from each other.
        rows: (N,) int64 row in the predictions of each scored box; boxes of a class that the
            truth file does not list are left out and counted in `unknown_class_boxes`.
        image_index, class_index: (N,) int64 of each scored box.
        scores: (N,) float32 or float64, as they came.
        boxes_xyxy: (N, 4) pixels, float32 or float64, as they came.
        sides_wh: (N, 2) float64 widths and heights, as the file states them where it does.
        truth_image_index, truth_class_index: (M,) int64, in the order of the file's annotations.
        truth_boxes_xywh: (M, 4) float64 as in the file.
        truth_areas: (M,) float64, the file's `area`, which COCO sorts sizes by.
        truth_iscrowd: (M,) bool.
        truth_ids: (M,) int64 annotation ids.
        unknown_class_boxes: number of predicted boxes of unlisted classes.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    category_names: tuple[str, ...]
    rows: np.ndarray
    image_index: np.ndarray
    class_index: np.ndarray
    scores: np.ndarray
    boxes_xyxy: np.ndarray
    sides_wh: np.ndarray
    truth_image_index: np.ndarray
    truth_class_index: np.ndarray
    truth_boxes_xywh: np.ndarray
    truth_areas: np.ndarray
    truth_iscrowd: np.ndarray
    truth_ids: np.ndarray
    unknown_class_boxes: int

    @property
    def truth_boxes_xyxy(self) -> np.ndarray:
        """(M, 4) float64 corners in pixels."""
        boxes = self.truth_boxes_xywh.copy()
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    @property
    def truth_count_of_class(self) -> np.ndarray:
        """(C,) int64 number of truth boxes, crowds included."""
        return np.bincount(self.truth_class_index, minlength=len(self.category_ids))


def scoring_table(predictions: Predictions, truth: CocoDataset) -> ScoringTable:
    """Join predictions and truth by image id.

    Raises:
        UserError: the predictions were not made for exactly the images of the truth, or the truth
            has no box at all.
    """
    check_same_images(predictions, truth)
    if not truth.annotations:
        raise UserError(
            "there is nothing to score against: the file has no annotations",
            where=truth.source,
            expected="a COCO file with truth, such as work/folds/val_3.json",
        )
    category_ids = truth.category_ids
    class_of_row, known = positions_of(predictions.labels, category_ids)
    truth_class, _ = positions_of(truth.labels, category_ids)
    truth_image, _ = positions_of(truth.annotation_image_ids, predictions.image_ids)
    chosen = slice(None) if known.all() else np.flatnonzero(known)
    return ScoringTable(
        image_ids=predictions.image_ids,
        category_ids=category_ids,
        category_names=truth.distinct_category_names,
        rows=np.arange(len(predictions))[chosen],
        image_index=predictions.image_index_of_row[chosen],
        class_index=class_of_row[chosen],
        scores=predictions.scores[chosen],
        boxes_xyxy=predictions.boxes_xyxy[chosen],
        sides_wh=predictions.sides_wh[chosen],
        truth_image_index=truth_image,
        truth_class_index=truth_class,
        truth_boxes_xywh=truth.boxes_xywh,
        truth_areas=truth.annotation_areas,
        truth_iscrowd=truth.iscrowd,
        truth_ids=truth.annotation_ids,
        unknown_class_boxes=int((~known).sum()),
    )


def check_same_images(predictions: Predictions, truth: CocoDataset) -> None:
    """Raise `UserError` unless both are about exactly the same image ids."""
    if np.array_equal(predictions.image_ids, np.sort(truth.image_ids)):
        return
    predicted, expected = set(predictions.image_ids.tolist()), set(truth.image_ids.tolist())
    missing, extra = sorted(expected - predicted), sorted(predicted - expected)
    raise UserError(
        f"predictions and truth are about different images: {len(missing)} images of the truth "
        f"were not predicted {_examples(missing)}, {len(extra)} predicted images are not in the "
        f"truth {_examples(extra)}",
        where=truth.source,
        expected="predictions of exactly the images of the truth file",
        next_step="give the fold's own val file, or predict these images",
    )


def positions_of(values: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) positions of `values` in the unsorted, unique `keys`, and a mask of those found.

    The position of a value that is not found means nothing.
    """
    if len(keys) == 0:
        return np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=bool)
    low, high = int(keys.min()), int(keys.max())
    if high - low > LARGEST_LOOKUP:
        order = np.argsort(keys, kind="stable")
        place = np.minimum(np.searchsorted(keys[order], values), len(keys) - 1)
        positions = order[place]
        return positions, keys[positions] == values
    position_of_key = np.full(high - low + 1, -1, dtype=np.int64)
    position_of_key[keys - low] = np.arange(len(keys))
    positions = position_of_key[np.clip(values, low, high) - low]
    return positions, (positions >= 0) & (values >= low) & (values <= high)


def _examples(image_ids: list[int]) -> str:
    if not image_ids:
        return "()"
    listed = ", ".join(str(image_id) for image_id in image_ids[:MAX_LISTED])
    return f"({listed}{', ...' if len(image_ids) > MAX_LISTED else ''})"
