"""Compiled loops of the competition metric, over a whole table at once."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def best_truths(
    boxes_xyxy: np.ndarray,
    group_of_box: np.ndarray,
    truth_boxes_xyxy: np.ndarray,
    truth_positions: np.ndarray,
    truth_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each box's best-overlapping truth of its group and the IoU with it.

    Args:
        boxes_xyxy: (K, 4) float64.
        group_of_box: (K,) int64 number of the box's (class, image) pair.
        truth_boxes_xyxy: (M, 4) float64 sorted by group.
        truth_positions: (M,) int64 name to return for each truth box.
        truth_offsets: (G + 1,) int64; group g owns `truth_offsets[g]:truth_offsets[g + 1]`.

    Returns:
        (K,) truth positions, the first of equal overlaps (-1 if the group has no truth), and (K,)
        float64 IoU.
    """
    count = len(boxes_xyxy)
    best_position = np.full(count, -1, dtype=np.int64)
    best_iou = np.zeros(count)
    for row in range(count):
        group = group_of_box[row]
        xmin, ymin, xmax, ymax = boxes_xyxy[row]
        area = (xmax - xmin) * (ymax - ymin)
        for truth in range(truth_offsets[group], truth_offsets[group + 1]):
            iou = _iou(xmin, ymin, xmax, ymax, area, truth_boxes_xyxy[truth])
            if best_position[row] < 0 or iou > best_iou[row]:
                best_position[row] = truth_positions[truth]
                best_iou[row] = iou
    return best_position, best_iou


@njit(cache=True)
def _iou(
    xmin: float, ymin: float, xmax: float, ymax: float, area: float, truth: np.ndarray
) -> float:
    width = min(xmax, truth[2]) - max(xmin, truth[0])
    if width <= 0:
        return 0.0
    height = min(ymax, truth[3]) - max(ymin, truth[1])
    if height <= 0:
        return 0.0
    truth_area = (truth[2] - truth[0]) * (truth[3] - truth[1])
    return width * height / (area + truth_area - width * height)


@njit(cache=True)
def first_claims(
    best_truth: np.ndarray, order: np.ndarray, keep: np.ndarray, truth_count: int
) -> np.ndarray:
    """Return a (K,) mask of the boxes that reach their best truth before any other box does."""
    hits = np.zeros(len(best_truth), dtype=np.bool_)
    taken = np.zeros(truth_count, dtype=np.bool_)
    for row in order:
        truth = best_truth[row]
        if keep[row] and truth >= 0 and not taken[truth]:
            taken[truth] = True
            hits[row] = True
    return hits


@njit(cache=True)
def average_precisions(
    hits: np.ndarray,
    order: np.ndarray,
    weights: np.ndarray,
    class_offsets: np.ndarray,
    truth_weights: np.ndarray,
) -> np.ndarray:
    """Return the (C,) all-point average precision of each class; NaN where there is no truth.

    Args:
        hits: (K,) bool, true positives.
        order: (K,) int64 rows by class, then by falling score.
        weights: (K,) float64 how often each row counts: 1, 0 to leave it out, or the number of
            times its image was drawn in a bootstrap sample.
        class_offsets: (C + 1,) int64 limits of the classes in `order`.
        truth_weights: (C,) float64 truth boxes of each class, counted the same way.
    """
    class_count = len(truth_weights)
    result = np.full(class_count, np.nan)
    precision = np.empty(len(order))
    for index in range(class_count):
        if truth_weights[index] <= 0:
            continue
        start, stop = class_offsets[index], class_offsets[index + 1]
        found = seen = 0.0
        for place in range(start, stop):
            row = order[place]
            seen += weights[row]
            if hits[row]:
                found += weights[row]
            precision[place] = found / seen if seen > 0 else 0.0
        envelope = total = 0.0
        for place in range(stop - 1, start - 1, -1):
            envelope = max(envelope, precision[place])
            row = order[place]
            if hits[row]:
                total += weights[row] * envelope
        result[index] = total / truth_weights[index]
    return result
