"""Compiled loop: the average precision of ranked boxes, on one or on many sets of images."""

from __future__ import annotations

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part


@compiled_part
def _points_at_hits(
    outcome: np.ndarray,
    weights: np.ndarray,
    first: int,
    last: int,
    tolerance: float,
    found_at: np.ndarray,
    precision: np.ndarray,
) -> int:
    """Note the truth boxes found and the precision at each hit; return how many hits there are.

    The precision after a miss is lower than at the hit before it, so it is never a maximum and
    leaving it out changes no average.
    """
    found = seen = 0.0
    points = 0
    for row in range(first, last):
        kind = outcome[row]
        if kind < 0:
            continue
        seen += weights[row]
        if kind > 0 and weights[row] > 0:
            found += weights[row]
            found_at[points] = found
            precision[points] = found / (seen + tolerance)
            points += 1
    return points


@compiled_part
def _make_monotone(precision: np.ndarray, points: int) -> None:
    for place in range(points - 1, 0, -1):
        precision[place - 1] = max(precision[place - 1], precision[place])


@compiled_part
def _sum_over_steps(
    found_at: np.ndarray, precision: np.ndarray, points: int, truth: float
) -> float:
    """All-point average precision: each step of recall times the precision there."""
    total = 0.0
    for place in range(points - 1, -1, -1):
        before = found_at[place - 1] if place > 0 else 0.0
        total += (found_at[place] - before) * precision[place]
    return total / truth


@compiled_part
def _mean_over_points(
    found_at: np.ndarray,
    precision: np.ndarray,
    points: int,
    truth: float,
    recall_points: np.ndarray,
) -> float:
    """Interpolated average precision: the mean of the precision at given points of recall."""
    total = 0.0
    place = 0
    for recall in recall_points:
        while place < points and found_at[place] / truth < recall:
            place += 1
        if place == points:
            break
        total += precision[place]
    return total / len(recall_points)


@compiled
def average_precisions(
    outcome: np.ndarray,
    image_of_row: np.ndarray,
    class_offsets: np.ndarray,
    truth_weights: np.ndarray,
    image_weights: np.ndarray,
    recall_points: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Return the average precision of each class, at each size and IoU threshold, on each sample.

    Args:
        outcome: (A, T, K) int8, rows by class, then by descending score: positive for a hit, zero
            for a miss, negative for a box that is ignored.
        image_of_row: (K,) int64 image index of each row.
        class_offsets: (C + 1,) int64 limits of the classes among the rows.
        truth_weights: (R, A, C) float64 truth boxes that count, repeated as their images are.
        image_weights: (R, I) float64 how often each image counts, whole numbers.
        recall_points: (P,) float64 ascending points at which the precision is read; empty sums
            over every step of recall instead.
        tolerance: added to the number of boxes that precision is divided by.

    Returns:
        (R, A, T, C) float64; NaN where no truth counts.
    """
    area_count, threshold_count, row_count = outcome.shape
    samples, class_count = len(image_weights), len(class_offsets) - 1
    result = np.full((samples, area_count, threshold_count, class_count), np.nan)
    weights = np.empty(row_count)
    found_at, precision = np.empty(row_count), np.empty(row_count)
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
                        outcome[area, threshold], weights, first, last, tolerance,
                        found_at, precision,
                    )  # fmt: skip
                    _make_monotone(precision, points)
                    if len(recall_points) == 0:
                        value = _sum_over_steps(found_at, precision, points, truth)
                    else:
                        value = _mean_over_points(found_at, precision, points, truth, recall_points)
                    result[sample, area, threshold, index] = value
    return result
