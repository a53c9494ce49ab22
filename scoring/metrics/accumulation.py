"""From matched boxes to average precision: the one accumulation of both metrics, on any images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from data_tools.ground.cores import usable_cores
from scoring.metrics.precision_kernels import average_precisions

# Samples that one thread takes at a time: few enough that the last ones end together.
SAMPLES_PER_TASK = 25


@dataclass(frozen=True)
class RankedOutcomes:
    """What became of each box, best first, and the truth that there was to find.

    Attributes:
        outcome: (A, T, K) int8, rows by class, then by descending score: positive for a hit, zero
            for a miss, negative for a box that is ignored.
        image_index: (K,) int64 image of each row.
        class_offsets: (C + 1,) int64 limits of the classes among the rows.
        truth_image_index, truth_class_index: (M,) int64 of each truth box.
        truth_counted: (A, M) bool, truth boxes that are to be found at each size.
        recall_points: (P,) float64 ascending; empty for the all-point average.
        tolerance: added to the number of boxes that precision is divided by.
    """

    outcome: np.ndarray
    image_index: np.ndarray
    class_offsets: np.ndarray
    truth_image_index: np.ndarray
    truth_class_index: np.ndarray
    truth_counted: np.ndarray
    recall_points: np.ndarray
    tolerance: float

    def average_precision(self, image_weights: np.ndarray) -> np.ndarray:
        """Return the (R, A, T, C) average precision on each sample; NaN where no truth counts.

        Args:
            image_weights: (R, I) how often each image counts, whole numbers.
        """
        image_weights = np.asarray(image_weights, dtype=np.float64)
        tasks = -(-len(image_weights) // SAMPLES_PER_TASK)
        if tasks <= 1:
            return self._on_samples(image_weights)
        with ThreadPoolExecutor(usable_cores()) as pool:
            return np.concatenate(
                list(pool.map(self._on_samples, np.array_split(image_weights, tasks)))
            )

    def _on_samples(self, image_weights: np.ndarray) -> np.ndarray:
        return average_precisions(
            self.outcome,
            self.image_index,
            self.class_offsets,
            self._truth_weights(image_weights),
            image_weights,
            self.recall_points,
            self.tolerance,
        )

    def _truth_weights(self, image_weights: np.ndarray) -> np.ndarray:
        """(R, A, C) truth boxes that count at each size, repeated as their images are."""
        result = np.empty(
            (len(image_weights), len(self.truth_counted), len(self.class_offsets) - 1)
        )
        for sample, weights in enumerate(image_weights):
            per_truth = weights[self.truth_image_index]
            for size, counted in enumerate(self.truth_counted):
                result[sample, size] = np.bincount(
                    self.truth_class_index,
                    weights=per_truth * counted,
                    minlength=result.shape[2],
                )
        return result
