"""Scores of predictions on resampled images: matched once, rescored thousands of times.

Which box hits which truth does not depend on the other images, so a bootstrap sample only changes
how often each image counts. The matching is `submit`'s; each sample costs one pass over the boxes.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.metrics.coco import RECALL_THRESHOLDS, CocoMatcher
from scoring.metrics.competition import CompetitionMatcher
from scoring.metrics.competition_kernels import average_precisions
from scoring.uncertainty.bootstrap_kernels import resampled_precisions

OVERALL = ("competition_map50", "map", "map50", "map75", "map_small", "map_medium", "map_large")
PER_CLASS = "competition_ap50"
# Samples that one thread takes at a time: few enough that the last ones end together.
SAMPLES_PER_TASK = 25


@dataclass(frozen=True)
class ImageScorer:
    """Predictions matched with the truth of their images.

    Attributes:
        competition: matches of the competition's metric.
        hits: (K,) true positives of the competition's metric.
        order: (K,) its rows by class and falling score.
        coco: matches of COCO's metrics; None leaves those values NaN and saves most of the time.
    """

    competition: CompetitionMatcher
    hits: np.ndarray
    order: np.ndarray
    coco: CocoMatcher | None

    @classmethod
    def from_predictions(
        cls, predictions: Predictions, truth: CocoDataset, *, with_coco: bool = True
    ) -> ImageScorer:
        """Match predictions; raises `UserError` when they are of other images."""
        competition = CompetitionMatcher.from_predictions(predictions, truth)
        coco = CocoMatcher.from_predictions(predictions, truth) if with_coco else None
        order, _ = competition.ranking()
        return cls(competition, competition.true_positives(), order, coco)

    def competition_only(self) -> ImageScorer:
        """Return the same matches without COCO's."""
        return ImageScorer(self.competition, self.hits, self.order, None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values: the overall ones, then one per class."""
        classes = self.competition.category_names
        return OVERALL + tuple(f"{PER_CLASS}/{name}" for name in classes)

    @property
    def images_with_truth(self) -> np.ndarray:
        """(V,) number of images that have truth for each of `names`."""
        matcher = self.competition
        every = np.ones(len(matcher.truth_class_index), dtype=bool)
        by_size = [every] * 3 if self.coco is None else list(self.coco.truth_counted[1:])
        classes = range(len(matcher.category_names))
        counted = [every] * 4 + by_size + [matcher.truth_class_index == c for c in classes]
        return np.array([len(np.unique(matcher.truth_image_index[rows])) for rows in counted])

    def values(self, image_weights: np.ndarray | None = None) -> np.ndarray:
        """Return the (V,) values of `names`; NaN where there is no truth to score.

        Args:
            image_weights: (I,) how often each image counts, in the order of ascending image id.
        """
        image_count = len(self.competition.image_ids)
        weights = np.ones(image_count) if image_weights is None else np.asarray(image_weights)
        return self.values_on_samples(weights[None])[0]

    def values_on_samples(self, image_weights: np.ndarray) -> np.ndarray:
        """Return the (R, V) values of `names` on each sample of images.

        Args:
            image_weights: (R, I) how often each image counts.
        """
        image_weights = np.asarray(image_weights, dtype=np.float64)
        per_class = np.stack([self._competition_values(row) for row in image_weights])
        overall = np.full((len(image_weights), len(OVERALL)), np.nan)
        overall[:, 0] = _mean_over(per_class, (1,))
        if self.coco is not None:
            overall[:, 1:] = self._coco_values(image_weights)
        return np.concatenate([overall, per_class], axis=1)

    def _competition_values(self, weights: np.ndarray) -> np.ndarray:
        matcher = self.competition
        truth_weights = np.bincount(
            matcher.truth_class_index,
            weights=weights[matcher.truth_image_index],
            minlength=len(matcher.category_names),
        )
        return average_precisions(
            self.hits,
            self.order,
            weights[matcher.image_index],
            matcher.class_offsets,
            truth_weights,
        )

    def _coco_values(self, image_weights: np.ndarray) -> np.ndarray:
        """(R, 6): mAP, mAP50, mAP75, small, medium, large."""
        matcher = self.coco
        # Rows in the order in which the kernel reads them, so that it reads memory in order.
        outcome = np.ascontiguousarray(matcher.outcome[:, :, matcher.order])
        image_of_row = matcher.image_index[matcher.order]
        parts = np.array_split(image_weights, -(-len(image_weights) // SAMPLES_PER_TASK))
        with ThreadPoolExecutor(_cpu_count()) as pool:
            tables = pool.map(
                lambda part: resampled_precisions(
                    outcome,
                    image_of_row,
                    matcher.class_offsets,
                    _truth_weights(matcher, part),
                    part,
                    RECALL_THRESHOLDS,
                ),
                parts,
            )
            table = np.concatenate(list(tables))
        columns = [_mean_over(table[:, 0], (1, 2))]
        columns += [_mean_over(table[:, 0, place], (1,)) for place in (0, 5)]
        columns += [_mean_over(table[:, area], (1, 2)) for area in (1, 2, 3)]
        return np.stack(columns, axis=1)


def _truth_weights(matcher: CocoMatcher, image_weights: np.ndarray) -> np.ndarray:
    """(R, A, C) truth boxes that count at each size, repeated as their images are."""
    class_count = len(matcher.category_names)
    per_truth = image_weights[:, matcher.truth_image_index]
    one_hot = np.eye(class_count)[matcher.truth_class_index]
    return np.stack([per_truth @ (one_hot * area[:, None]) for area in matcher.truth_counted], 1)


def bootstrap_values(scorers: list[ImageScorer], weights: np.ndarray) -> np.ndarray:
    """Return (R, V) values on each sample, averaged over the scorers (one per seed).

    Args:
        scorers: runs of the same arm with different seeds; all see the same resampled images.
        weights: (R, I) from `image_samples` of `bootstrap.py`; paired when both arms get the same.
    """
    return _mean_over(np.stack([scorer.values_on_samples(weights) for scorer in scorers]), (0,))


def _mean_over(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean of the values that are not NaN; NaN where all are."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=axes)
    count = known.sum(axis=axes)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
