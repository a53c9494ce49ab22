"""Compiled loops of the COCO box metric, over a whole table at once; rules as in pycocotools."""

from __future__ import annotations

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part

# What counts of an outcome, here and wherever it is read, is its sign.
MISS, HIT, IGNORED = 0, 1, -1


@compiled
def match_boxes(
    boxes_xywh: np.ndarray,
    box_offsets: np.ndarray,
    truth_boxes_xywh: np.ndarray,
    truth_areas: np.ndarray,
    truth_iscrowd: np.ndarray,
    truth_counts_as_match: np.ndarray,
    truth_offsets: np.ndarray,
    iou_thresholds: np.ndarray,
    area_ranges: np.ndarray,
) -> np.ndarray:
    """Match every group's boxes, best score first, each with the best truth that is still free.

    Args:
        boxes_xywh: (K, 4) float64, sorted by group, then by descending score, capped.
        box_offsets: (G + 1,) int64 limits of the groups, one per (class, image) pair.
        truth_boxes_xywh: (M, 4) float64 sorted by group.
        truth_areas: (M,) float64.
        truth_iscrowd: (M,) bool; crowds are ignored and may be matched by many boxes.
        truth_counts_as_match: (M,) bool; false makes a match with it count as a miss.
        truth_offsets: (G + 1,) int64.
        iou_thresholds: (T,) float64.
        area_ranges: (A, 2) float64 square pixels, both ends included.

    Returns:
        (A, T, K) int8: MISS, HIT or IGNORED.
    """
    area_count, threshold_count = len(area_ranges), len(iou_thresholds)
    outcome = np.zeros((area_count, threshold_count, len(boxes_xywh)), dtype=np.int8)
    for group in range(len(box_offsets) - 1):
        first, last = box_offsets[group], box_offsets[group + 1]
        truth_first, truth_last = truth_offsets[group], truth_offsets[group + 1]
        boxes = boxes_xywh[first:last]
        _ignore_other_sizes(boxes, area_ranges, outcome[:, :, first:last])
        if truth_first == truth_last or first == last:
            continue
        truths = truth_boxes_xywh[truth_first:truth_last]
        iscrowd = truth_iscrowd[truth_first:truth_last]
        areas = truth_areas[truth_first:truth_last]
        counts = truth_counts_as_match[truth_first:truth_last]
        ious = _ious(boxes, truths, iscrowd)
        near = _rows_that_reach(ious, iou_thresholds.min())
        for area_index in range(area_count):
            low, high = area_ranges[area_index]
            order, ignored = _ignored_last(areas, iscrowd, low, high)
            for index in range(threshold_count):
                _match_group(
                    near,
                    ious,
                    order,
                    ignored,
                    iscrowd,
                    counts,
                    iou_thresholds[index],
                    outcome[area_index, index, first:last],
                )
    return outcome


@compiled_part
def _ignore_other_sizes(
    boxes_xywh: np.ndarray, area_ranges: np.ndarray, outcome: np.ndarray
) -> None:
    """Judge boxes as if there were no truth: misses in their own size, ignored in others."""
    for row in range(len(boxes_xywh)):
        area = boxes_xywh[row, 2] * boxes_xywh[row, 3]
        for area_index in range(len(area_ranges)):
            if area < area_ranges[area_index, 0] or area > area_ranges[area_index, 1]:
                outcome[area_index, :, row] = IGNORED


@compiled_part
def _rows_that_reach(ious: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Return the boxes that overlap any truth enough to be matched at all, in their order."""
    rows = np.empty(len(ious), dtype=np.int64)
    count = 0
    for row in range(len(ious)):
        for column in range(ious.shape[1]):
            if ious[row, column] >= iou_threshold:
                rows[count] = row
                count += 1
                break
    return rows[:count]


@compiled_part
def _ious(boxes_xywh: np.ndarray, truths_xywh: np.ndarray, iscrowd: np.ndarray) -> np.ndarray:
    """(N, M) IoU; with a crowd, the part of the box that lies in it."""
    ious = np.zeros((len(boxes_xywh), len(truths_xywh)))
    for column in range(len(truths_xywh)):
        x, y, width, height = truths_xywh[column]
        for row in range(len(boxes_xywh)):
            box = boxes_xywh[row]
            inner_width = min(box[2] + box[0], width + x) - max(box[0], x)
            inner_height = min(box[3] + box[1], height + y) - max(box[1], y)
            if inner_width <= 0 or inner_height <= 0:
                continue
            inner = inner_width * inner_height
            area = box[2] * box[3]
            union = area if iscrowd[column] else area + width * height - inner
            ious[row, column] = inner / union
    return ious


@compiled_part
def _ignored_last(
    areas: np.ndarray, iscrowd: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return truths in file order with ignored ones last, and a mask of the ignored, unordered."""
    ignored = iscrowd | (areas < low) | (areas > high)
    order = np.empty(len(areas), dtype=np.int64)
    place = 0
    for wanted in (False, True):
        for index in range(len(areas)):
            if ignored[index] == wanted:
                order[place] = index
                place += 1
    return order, ignored


@compiled_part
def _match_group(
    rows: np.ndarray,
    ious: np.ndarray,
    order: np.ndarray,
    ignored: np.ndarray,
    iscrowd: np.ndarray,
    counts_as_match: np.ndarray,
    iou_threshold: float,
    outcome: np.ndarray,
) -> None:
    taken = np.zeros(len(order), dtype=np.bool_)
    for row in rows:
        best_iou = min(iou_threshold, 1 - 1e-10)
        best = -1
        for truth in order:
            if taken[truth] and not iscrowd[truth]:
                continue
            if best >= 0 and not ignored[best] and ignored[truth]:
                break
            # Not below: of equal overlaps the later truth wins, as in pycocotools.
            if ious[row, truth] >= best_iou:
                best_iou = ious[row, truth]
                best = truth
        if best < 0:
            continue
        taken[best] = True
        if ignored[best]:
            outcome[row] = IGNORED
        elif counts_as_match[best]:
            outcome[row] = HIT
