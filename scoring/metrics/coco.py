"""COCO's box metrics with pycocotools' numbers: mAP, mAP50, mAP75 and mAP by size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.metrics.accumulation import RankedOutcomes
from scoring.metrics.coco_kernels import match_boxes
from scoring.table import ScoringTable, scoring_table

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
# pycocotools divides by the number of boxes plus this.
PRECISION_TOLERANCE = float(np.spacing(1))
AREA_NAMES = ("all", "small", "medium", "large")
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]], dtype=np.float64)
MAX_DETECTIONS = 100


@dataclass(frozen=True)
class CocoMatcher:
    """Which boxes hit at each IoU threshold and size, found once for a table of boxes.

    Matching depends on the order of scores within an image, so a matcher answers for its own
    scores (and for others that keep that order); `weights` choose or repeat images.

    Attributes:
        rows: (K,) int64 row in the predictions of each box, by class, then by descending score
            (ties by image, then as listed), at most `max_detections` per class and image.
        class_offsets: (C + 1,) int64.
        image_index: (K,) int64.
        scores: (K,) float32 or float64, as they came.
        outcome: (A, T, K) int8: MISS, HIT or IGNORED.
        truth_image_index, truth_class_index: (M,) int64.
        truth_counted: (A, M) bool, truth boxes that are not ignored at that size.
        image_count: number of images.
        category_names: (C,) names.
        capped_boxes: boxes beyond `max_detections`.
    """

    rows: np.ndarray
    class_offsets: np.ndarray
    image_index: np.ndarray
    scores: np.ndarray
    outcome: np.ndarray
    truth_image_index: np.ndarray
    truth_class_index: np.ndarray
    truth_counted: np.ndarray
    image_count: int
    category_names: tuple[str, ...]
    capped_boxes: int

    @classmethod
    def from_predictions(
        cls, predictions: Predictions, truth: CocoDataset, *, max_detections: int = MAX_DETECTIONS
    ) -> CocoMatcher:
        """Match predictions with the truth of the same images; raises as `scoring_table`."""
        return cls.from_table(scoring_table(predictions, truth), max_detections=max_detections)

    @classmethod
    def from_table(
        cls,
        table: ScoringTable,
        *,
        max_detections: int = MAX_DETECTIONS,
        id_zero_is_lost: bool = True,
    ) -> CocoMatcher:
        """Match the boxes of a joined table.

        Args:
            table: predictions and truth of the same images.
            max_detections: boxes that count per class and image, best scores first.
            id_zero_is_lost: count the box that finds annotation id 0 as a miss, as pycocotools
                does, for which 0 means "no match" (`COCOeval.evaluateImg`).
        """
        image_count, class_count = len(table.image_ids), len(table.category_ids)
        group = table.class_index * image_count + table.image_index
        order = np.lexsort((-table.scores, group))
        limits = _offsets(group, class_count * image_count)
        rank = np.arange(len(order)) - limits[group[order]]
        kept = order[rank < max_detections]
        outcome = _outcome(table, kept, group[kept], id_zero_is_lost)
        by_score = np.lexsort((-table.scores[kept], table.class_index[kept]))
        ranked = kept[by_score]
        return cls(
            rows=table.rows[ranked],
            class_offsets=_offsets(table.class_index[ranked], class_count),
            image_index=table.image_index[ranked],
            scores=table.scores[ranked],
            outcome=np.ascontiguousarray(outcome[:, :, by_score]),
            truth_image_index=table.truth_image_index,
            truth_class_index=table.truth_class_index,
            truth_counted=~table.truth_iscrowd & _inside(table.truth_areas, AREA_RANGES),
            image_count=image_count,
            category_names=table.category_names,
            capped_boxes=len(order) - len(kept),
        )

    def all_sizes_only(self) -> CocoMatcher:
        """Return the same matching without the ranges of box size, a quarter of the work."""
        return replace(self, outcome=self.outcome[:1], truth_counted=self.truth_counted[:1])

    def average_precision(self) -> np.ndarray:
        """Return the (A, T, C) average precision; NaN where no truth counts."""
        return self.average_precision_on(np.ones((1, self.image_count)))[0]

    def average_precision_on(self, image_weights: np.ndarray) -> np.ndarray:
        """Return the (R, A, T, C) average precision on each sample of images.

        Args:
            image_weights: (R, I) how often each image counts, whole numbers.
        """
        return self._ranked.average_precision(image_weights)

    @cached_property
    def _ranked(self) -> RankedOutcomes:
        return RankedOutcomes(
            outcome=self.outcome,
            image_index=self.image_index,
            class_offsets=self.class_offsets,
            truth_image_index=self.truth_image_index,
            truth_class_index=self.truth_class_index,
            truth_counted=self.truth_counted,
            recall_points=RECALL_POINTS,
            tolerance=PRECISION_TOLERANCE,
        )


def summarize(average_precision: np.ndarray) -> dict[str, float | None]:
    """Return COCO's averages of an (A, T, C) table; None where no truth counts.

    Returns:
        `map`, `map50`, `map75` and, unless the table was cut by `all_sizes_only`, `map_small`,
        `map_medium`, `map_large`.
    """
    result = {
        "map": mean_or_none(average_precision[0]),
        "map50": mean_or_none(average_precision[0, 0]),
        "map75": mean_or_none(average_precision[0, 5]),
    }
    for name, values in zip(AREA_NAMES[1:], average_precision[1:], strict=False):
        result[f"map_{name}"] = mean_or_none(values)
    return result


def mean_or_none(values: np.ndarray) -> float | None:
    """Return the mean of the values that are not NaN; None if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _outcome(
    table: ScoringTable, kept: np.ndarray, group_of_kept: np.ndarray, id_zero_is_lost: bool
) -> np.ndarray:
    image_count = len(table.image_ids)
    group_count = len(table.category_ids) * image_count
    truth_group = table.truth_class_index * image_count + table.truth_image_index
    by_group = np.argsort(truth_group, kind="stable")
    boxes_xywh = np.concatenate([table.boxes_xyxy[kept, :2], table.sides_wh[kept]], axis=1)
    return match_boxes(
        boxes_xywh,
        _offsets(group_of_kept, group_count),
        table.truth_boxes_xywh[by_group],
        table.truth_areas[by_group],
        table.truth_iscrowd[by_group],
        (table.truth_ids[by_group] != 0) | (not id_zero_is_lost),
        _offsets(truth_group, group_count),
        IOU_THRESHOLDS,
        AREA_RANGES,
    )


def _offsets(group: np.ndarray, group_count: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(group, minlength=group_count))])


def _inside(areas: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    return (areas >= ranges[:, :1]) & (areas <= ranges[:, 1:])
