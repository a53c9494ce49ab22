"""Compiled loops of the competition metric, over a whole table at once."""

from __future__ import annotations

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part


@compiled
def stable_order(keys: np.ndarray, rows: np.ndarray, key_count: int) -> np.ndarray:
    """Return `rows` by rising key, equal keys as they stand; rows with a negative key are left out.

    Args:
        keys: (N,) int64 below `key_count`, by row.
        rows: (K,) int64 rows to order.
        key_count: number of keys.
    """
    starts = np.zeros(key_count + 1, dtype=np.int64)
    for row in rows:
        if keys[row] >= 0:
            starts[keys[row] + 1] += 1
    for key in range(key_count):
        starts[key + 1] += starts[key]
    order = np.empty(starts[key_count], dtype=np.int64)
    for row in rows:
        key = keys[row]
        if key >= 0:
            order[starts[key]] = row
            starts[key] += 1
    return order


@compiled
def best_truths(
    boxes_xyxy: np.ndarray,
    rows: np.ndarray,
    group_of_box: np.ndarray,
    truth_boxes_xyxy: np.ndarray,
    truth_positions: np.ndarray,
    truth_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each box's best-overlapping truth of its group and the IoU with it.

    Args:
        boxes_xyxy: (N, 4) float32, compared as float64.
        rows: (K,) int64 boxes to match.
        group_of_box: (N,) int64 number of each box's (class, image) pair.
        truth_boxes_xyxy: (M, 4) float64 sorted by group.
        truth_positions: (M,) int64 name to return for each truth box.
        truth_offsets: (G + 1,) int64; group g owns `truth_offsets[g]:truth_offsets[g + 1]`.

    Returns:
        (K,) truth positions, the first of equal overlaps (-1 if the group has no truth), and (K,)
        float64 IoU.
    """
    count = len(rows)
    best_position = np.full(count, -1, dtype=np.int64)
    best_iou = np.zeros(count)
    for place in range(count):
        row = rows[place]
        group = group_of_box[row]
        xmin, ymin = np.float64(boxes_xyxy[row, 0]), np.float64(boxes_xyxy[row, 1])
        xmax, ymax = np.float64(boxes_xyxy[row, 2]), np.float64(boxes_xyxy[row, 3])
        area = (xmax - xmin) * (ymax - ymin)
        first, last = truth_offsets[group], truth_offsets[group + 1]
        if first == last:
            continue
        best, iou_of_best = first, -1.0
        for truth in range(first, last):
            iou = _iou(xmin, ymin, xmax, ymax, area, truth_boxes_xyxy, truth)
            if iou > iou_of_best:
                best, iou_of_best = truth, iou
        best_position[place] = truth_positions[best]
        best_iou[place] = iou_of_best
    return best_position, best_iou


@compiled_part
def _iou(
    xmin: float,
    ymin: float,
    xmax: float,
    ymax: float,
    area: float,
    truth_boxes_xyxy: np.ndarray,
    truth: int,
) -> float:
    truth_xmin, truth_ymin = truth_boxes_xyxy[truth, 0], truth_boxes_xyxy[truth, 1]
    truth_xmax, truth_ymax = truth_boxes_xyxy[truth, 2], truth_boxes_xyxy[truth, 3]
    width = min(xmax, truth_xmax) - max(xmin, truth_xmin)
    if width <= 0:
        return 0.0
    height = min(ymax, truth_ymax) - max(ymin, truth_ymin)
    if height <= 0:
        return 0.0
    truth_area = (truth_xmax - truth_xmin) * (truth_ymax - truth_ymin)
    return width * height / (area + truth_area - width * height)


@compiled
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
