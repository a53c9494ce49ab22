"""Compiled loop: COCO's averages on many resampled sets of images, from boxes matched once."""

from __future__ import annotations

import numpy as np
from numba import njit

from scoring.metrics.coco_kernels import HIT, IGNORED

RECALL_TOLERANCE = np.spacing(1)


@njit(cache=True, nogil=True)
def resampled_precisions(
    outcome: np.ndarray,
    image_of_row: np.ndarray,
    class_offsets: np.ndarray,
    truth_weights: np.ndarray,
    image_weights: np.ndarray,
    recall_thresholds: np.ndarray,
) -> np.ndarray:
    """Return COCO's interpolated average precision on each sample.

    The precision after a false box is never a maximum, so only the points at hits are kept; that
    leaves the result what it is and the loop short.

    Args:
        outcome: (A, T, K) uint8, rows by class, then by falling score.
        image_of_row: (K,) int64 image index of each row, in the same order.
        class_offsets: (C + 1,) int64 limits of the classes.
        truth_weights: (R, A, C) float64 truth boxes that count, repeated as their images are.
        image_weights: (R, I) float64 how often each image counts.
        recall_thresholds: (P,) float64 rising.

    Returns:
        (R, A, T, C) float64; NaN where no truth counts.
    """
    area_count, threshold_count, row_count = outcome.shape
    samples, class_count = len(image_weights), len(class_offsets) - 1
    result = np.full((samples, area_count, threshold_count, class_count), np.nan)
    weights = np.empty(row_count)
    recall, precision = np.empty(row_count), np.empty(row_count)
    for sample in range(samples):
        for row in range(row_count):
            weights[row] = image_weights[sample, image_of_row[row]]
        for area in range(area_count):
            for index in range(class_count):
                truth = truth_weights[sample, area, index]
                if truth <= 0:
                    continue
                first, last = class_offsets[index], class_offsets[index + 1]
                for threshold in range(threshold_count):
                    points = _points_at_hits(
                        outcome[area, threshold], weights, first, last, truth, recall, precision
                    )
                    result[sample, area, threshold, index] = _interpolated_mean(
                        recall, precision, points, recall_thresholds
                    )
    return result


@njit(cache=True, nogil=True)
def _points_at_hits(
    outcome: np.ndarray,
    weights: np.ndarray,
    first: int,
    last: int,
    truth: float,
    recall: np.ndarray,
    precision: np.ndarray,
) -> int:
    found = seen = 0.0
    points = 0
    for row in range(first, last):
        kind = outcome[row]
        if kind == IGNORED:
            continue
        seen += weights[row]
        if kind == HIT and weights[row] > 0:
            found += weights[row]
            recall[points] = found / truth
            precision[points] = found / (seen + RECALL_TOLERANCE)
            points += 1
    return points


@njit(cache=True, nogil=True)
def _interpolated_mean(
    recall: np.ndarray, precision: np.ndarray, points: int, recall_thresholds: np.ndarray
) -> float:
    for place in range(points - 1, 0, -1):
        precision[place - 1] = max(precision[place - 1], precision[place])
    total = 0.0
    place = 0
    for threshold in recall_thresholds:
        while place < points and recall[place] < threshold:
            place += 1
        if place == points:
            break
        total += precision[place]
    return total / len(recall_thresholds)
