"""Scores of predictions on resampled images: matched once, rescored thousands of times.

Which box hits which truth does not depend on the other images, so a bootstrap sample only changes
how often each image counts. The matching is `submit`'s; each sample costs one pass over the boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.coco import CocoDataset
from data_tools.predictions import Predictions
from submit.coco_metric import CocoMatcher, summarize
from submit.competition_kernels import average_precisions
from submit.competition_metric import CompetitionMatcher

OVERALL = ("competition_map50", "map", "map50", "map75", "map_small", "map_medium", "map_large")
PER_CLASS = "competition_ap50"


@dataclass(frozen=True)
class ImageScorer:
    """Predictions matched with the truth of their images.

    Attributes:
        competition: matches of the competition's metric.
        hits: (K,) true positives of the competition's metric.
        order: (K,) its rows by class and falling score.
        coco: matches of COCO's metrics; None leaves those values NaN, at a fortieth of the time.
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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values: the overall ones, then one per class."""
        classes = self.competition.category_names
        return OVERALL + tuple(f"{PER_CLASS}/{name}" for name in classes)

    def values(self, image_weights: np.ndarray | None = None) -> np.ndarray:
        """Return the (V,) values of `names`; NaN where there is no truth to score.

        Args:
            image_weights: (I,) how often each image counts, in the order of ascending image id.
        """
        image_count = len(self.competition.image_ids)
        weights = np.ones(image_count) if image_weights is None else np.asarray(image_weights)
        per_class = self._competition_values(weights.astype(np.float64))
        overall = {"competition_map50": _mean(per_class)}
        if self.coco is not None:
            overall |= summarize(self.coco.average_precision(weights))
        numbers = [overall.get(name) for name in OVERALL]
        return np.concatenate([[np.nan if n is None else n for n in numbers], per_class])

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


def bootstrap_values(scorers: list[ImageScorer], weights: np.ndarray) -> np.ndarray:
    """Return (R, V) values on each sample, averaged over the scorers (one per seed).

    Args:
        scorers: runs of the same arm with different seeds; all see the same resampled images.
        weights: (R, I) from `submit.bootstrap.image_samples`; paired when both arms get the same.
    """
    per_scorer = [np.stack([scorer.values(row) for row in weights]) for scorer in scorers]
    return _mean_over_first(np.stack(per_scorer))


def point_values(scorers: list[ImageScorer]) -> np.ndarray:
    """Return (V,) values on the images as they are, averaged over the scorers."""
    return _mean_over_first(np.stack([scorer.values() for scorer in scorers]))


def _mean_over_first(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
