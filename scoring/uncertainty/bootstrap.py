"""Scores on other images of the same kind: a seeded bootstrap, matched once, rescored at will.

Which box hits which truth does not depend on the other images, so a bootstrap sample only changes
how often each image counts; each sample costs one pass over the matched boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.metrics.coco import CocoMatcher
from scoring.metrics.competition import CompetitionMatcher

DEFAULT_SAMPLES = 1000
DEFAULT_SEED = 411
OVERALL = ("competition_map50", "map", "map50", "map75", "map_small", "map_medium", "map_large")
PER_CLASS = "competition_ap50"


def image_samples(image_count: int, samples: int, seed: int) -> np.ndarray:
    """Return (R, I) int64: how often each image comes when I images are drawn with replacement."""
    generator = np.random.default_rng(seed)
    even = np.full(image_count, 1 / image_count)
    return generator.multinomial(image_count, even, size=samples)


@dataclass(frozen=True)
class ImageScorer:
    """Predictions matched with the truth of their images.

    Attributes:
        competition: matches of the competition's metric.
        coco: matches of COCO's metrics. None leaves those values NaN and saves most of the time;
            matches of all sizes only leave the values by size NaN.
    """

    competition: CompetitionMatcher
    coco: CocoMatcher | None

    @classmethod
    def from_predictions(
        cls, predictions: Predictions, truth: CocoDataset, *, with_coco: bool = True
    ) -> ImageScorer:
        """Match predictions; raises `UserError` when they are of other images."""
        competition = CompetitionMatcher.from_predictions(predictions, truth)
        coco = CocoMatcher.from_predictions(predictions, truth) if with_coco else None
        return cls(competition, coco)

    def competition_only(self) -> ImageScorer:
        """Return the same matches without COCO's."""
        return replace(self, coco=None)

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
        sizes = [every] if self.coco is None else list(self.coco.truth_counted)
        small_to_large = (sizes[1:] or [every] * 3)[:3]
        classes = range(len(matcher.category_names))
        counted = [every, *[sizes[0]] * 3, *small_to_large]
        counted += [matcher.truth_class_index == index for index in classes]
        return np.array([len(np.unique(matcher.truth_image_index[rows])) for rows in counted])

    def values(self) -> np.ndarray:
        """Return the (V,) values of `names`; NaN where there is no truth to score."""
        return self.values_on(np.ones((1, len(self.competition.image_ids))))[0]

    def values_on(self, image_weights: np.ndarray) -> np.ndarray:
        """Return the (R, V) values of `names` on each sample of images.

        Args:
            image_weights: (R, I) how often each image counts, in the order of ascending image id.
        """
        per_class = self.competition.average_precision_on(image_weights)
        overall = np.full((len(per_class), len(OVERALL)), np.nan)
        overall[:, 0] = _mean_over(per_class, (1,))
        if self.coco is not None:
            by_size = self.coco.average_precision_on(image_weights)
            overall[:, 1] = _mean_over(by_size[:, 0], (1, 2))
            overall[:, 2] = _mean_over(by_size[:, 0, 0], (1,))
            overall[:, 3] = _mean_over(by_size[:, 0, 5], (1,))
            for size in range(1, by_size.shape[1]):
                overall[:, 3 + size] = _mean_over(by_size[:, size], (1, 2))
        return np.concatenate([overall, per_class], axis=1)


def bootstrap_values(scorers: list[ImageScorer], weights: np.ndarray) -> np.ndarray:
    """Return (R, V) values on each sample, averaged over the scorers (one per seed).

    Args:
        scorers: runs of the same arm with different seeds; all see the same resampled images.
        weights: (R, I) from `image_samples`; paired when both arms get the same.
    """
    return _mean_over(np.stack([scorer.values_on(weights) for scorer in scorers]), (0,))


def _mean_over(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean of the values that are not NaN; NaN where all are."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=axes)
    count = known.sum(axis=axes)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
