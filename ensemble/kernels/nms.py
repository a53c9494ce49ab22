"""Non-maximum suppression, plain and soft, of candidates that are grouped by class."""

from __future__ import annotations

import math

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part
from ensemble.kernels.layout import Candidates, Clusters

LINEAR, GAUSSIAN = 1, 2


@compiled_part
def _iou(boxes: np.ndarray, first: int, second: int) -> float:
    ax1, ay1 = np.float64(boxes[first, 0]), np.float64(boxes[first, 1])
    ax2, ay2 = np.float64(boxes[first, 2]), np.float64(boxes[first, 3])
    bx1, by1 = np.float64(boxes[second, 0]), np.float64(boxes[second, 1])
    bx2, by2 = np.float64(boxes[second, 2]), np.float64(boxes[second, 3])
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    intersection = width * height
    return intersection / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - intersection)


@compiled_part
def _keep(
    candidate: int, cluster: int, score: float, candidates: Candidates, clusters: Clusters
) -> None:
    """Write a candidate to a slot of `clusters` as it is, with this score."""
    for side in range(4):
        clusters.boxes_xyxy[cluster, side] = candidates.boxes_xyxy[candidate, side]
    clusters.scores[cluster] = score
    clusters.classes[cluster] = candidates.classes[candidate]


@compiled_part
def _group_end(candidates: Candidates, start: int, image_end: int) -> int:
    end = start
    while end < image_end and candidates.classes[end] == candidates.classes[start]:
        end += 1
    return end


@compiled
def fuse_nms(candidates: Candidates, iou_of_class: np.ndarray, clusters: Clusters) -> None:
    """Keep each candidate that no better kept one of its class overlaps by more than the threshold.

    Args:
        candidates: grouped by class, each group in the order in which boxes are considered.
        iou_of_class: (C,) thresholds.
        clusters: filled in place; a suppressed box belongs to the kept box that suppressed it.
    """
    for image in range(len(candidates.counts)):
        first_slot, count = candidates.slots[image], 0
        image_end = first_slot + candidates.counts[image]
        for i in range(first_slot, image_end):
            clusters.of_candidate[i] = -1
        start = first_slot
        while start < image_end:
            end = _group_end(candidates, start, image_end)
            threshold = iou_of_class[candidates.classes[start]]
            for i in range(start, end):
                if clusters.of_candidate[i] >= 0:
                    continue
                _keep(i, first_slot + count, candidates.scores[i], candidates, clusters)
                clusters.of_candidate[i] = count
                for j in range(i + 1, end):
                    if clusters.of_candidate[j] < 0 and (
                        _iou(candidates.boxes_xyxy, i, j) > threshold
                    ):
                        clusters.of_candidate[j] = count
                count += 1
            start = end
        clusters.counts[image] = count


@compiled_part
def _bring_best_forward(order: np.ndarray, scores: np.ndarray, i: int, end: int) -> None:
    """Swap the first of the best remaining boxes to position i, as the reference code does."""
    best = i
    for j in range(i + 1, end):
        if scores[j] > scores[best]:
            best = j
    order[i], order[best] = order[best], order[i]
    scores[i], scores[best] = scores[best], scores[i]


@compiled_part
def _decay(iou: float, decay: int, threshold: float, sigma: float) -> float:
    if decay == GAUSSIAN:
        return math.exp(-(iou * iou) / sigma)
    return 1.0 - iou if iou > threshold else 1.0


@compiled
def fuse_soft_nms(
    candidates: Candidates,
    iou_of_class: np.ndarray,
    decay: int,
    sigma: float,
    score_floor: float,
    clusters: Clusters,
) -> None:
    """Lower each candidate's score by its overlap with every better one of its class.

    Args:
        candidates: grouped by class.
        iou_of_class: (C,) thresholds; only the linear decay uses them.
        decay: LINEAR or GAUSSIAN.
        sigma: width of the gaussian decay.
        score_floor: boxes whose decayed score is not above it are dropped.
        clusters: filled in place with decayed scores, each class in the order of selection.
    """
    longest = 1
    for image in range(len(candidates.counts)):
        longest = max(longest, candidates.counts[image])
    order, scores = np.empty(longest, np.int64), np.empty(longest, np.float64)
    for image in range(len(candidates.counts)):
        first_slot, count = candidates.slots[image], 0
        image_end = first_slot + candidates.counts[image]
        start = first_slot
        while start < image_end:
            end = _group_end(candidates, start, image_end)
            threshold, size = iou_of_class[candidates.classes[start]], end - start
            for i in range(size):
                order[i], scores[i] = start + i, candidates.scores[start + i]
            for i in range(size):
                _bring_best_forward(order, scores, i, size)
                for j in range(i + 1, size):
                    iou = _iou(candidates.boxes_xyxy, order[i], order[j])
                    scores[j] *= _decay(iou, decay, threshold, sigma)
            for i in range(size):
                kept = scores[i] > score_floor
                clusters.of_candidate[order[i]] = count if kept else -1
                if kept:
                    _keep(order[i], first_slot + count, scores[i], candidates, clusters)
                    count += 1
            start = end
        clusters.counts[image] = count
