"""Weighted Boxes Fusion of candidates that are grouped by class and sorted by score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part
from ensemble.kernels.layout import Candidates, Clusters

AVG, MAX, BOX_AND_MODEL_AVG, ABSENT_MODEL_AWARE_AVG = range(4)


class _Running(NamedTuple):
    """What one image's clusters have summed up so far, one entry per cluster.

    Sums and fused boxes are rounded to single precision because the reference code keeps them so:
    a box on the brink of the threshold must fall to the same side here.
    """

    box_sums: np.ndarray
    score_sums: np.ndarray
    weight_sums: np.ndarray
    areas: np.ndarray
    sizes: np.ndarray


@compiled_part
def _best_cluster(
    box: np.ndarray, boxes: np.ndarray, areas: np.ndarray, start: int, end: int, threshold: float
) -> int:
    """Return the first of the best-overlapping clusters above the threshold, or -1."""
    x1, y1, x2, y2 = np.float64(box[0]), np.float64(box[1]), np.float64(box[2]), np.float64(box[3])
    area = (x2 - x1) * (y2 - y1)
    best, best_iou = -1, threshold
    for cluster in range(start, end):
        width = min(boxes[cluster, 2], x2) - max(boxes[cluster, 0], x1)
        height = min(boxes[cluster, 3], y2) - max(boxes[cluster, 1], y1)
        if width <= 0.0 or height <= 0.0:
            continue
        intersection = width * height
        iou = intersection / (areas[cluster] + area - intersection)
        if iou > best_iou:
            best, best_iou = cluster, iou
    return best


@compiled_part
def _start_cluster(
    cluster: int, box: np.ndarray, score: float, weight: float, running: _Running, boxes: np.ndarray
) -> None:
    # A cluster that starts at score 0 will hold zeros only (scores fall): share 1 makes its box
    # the unweighted mean, where the reference code divides 0 by 0.
    share = score if score > 0.0 else 1.0
    for side in range(4):
        boxes[cluster, side] = box[side]
        running.box_sums[cluster, side] = share * np.float64(box[side])
    running.areas[cluster] = (boxes[cluster, 2] - boxes[cluster, 0]) * (
        boxes[cluster, 3] - boxes[cluster, 1]
    )
    running.score_sums[cluster] = score
    running.weight_sums[cluster] = weight
    running.sizes[cluster] = 1


@compiled_part
def _join_cluster(
    cluster: int, box: np.ndarray, score: float, weight: float, running: _Running, boxes: np.ndarray
) -> None:
    running.score_sums[cluster] += score
    running.weight_sums[cluster] += weight
    running.sizes[cluster] += 1
    only_zeros = running.score_sums[cluster] == 0.0
    share = 1.0 if only_zeros else score
    total = float(running.sizes[cluster]) if only_zeros else running.score_sums[cluster]
    for side in range(4):
        running.box_sums[cluster, side] = np.float64(
            running.box_sums[cluster, side]
        ) + share * np.float64(box[side])
        boxes[cluster, side] = np.float32(np.float64(running.box_sums[cluster, side]) / total)
    running.areas[cluster] = (boxes[cluster, 2] - boxes[cluster, 0]) * (
        boxes[cluster, 3] - boxes[cluster, 1]
    )


@compiled_part
def _cluster_score(
    cluster: int, best_score: float, running: _Running, keep_best: bool
) -> tuple[float, float]:
    """Return average (or best) weighted score and summed weight, rounded as the reference does."""
    if running.sizes[cluster] == 1:
        return running.score_sums[cluster], running.weight_sums[cluster]
    average = running.score_sums[cluster] / running.sizes[cluster]
    score = np.float64(np.float32(best_score if keep_best else average))
    return score, np.float64(np.float32(running.weight_sums[cluster]))


@compiled_part
def _weight_found_and_absent(weights: np.ndarray, present: np.ndarray) -> tuple[float, float]:
    found = absent = 0.0
    for submember in range(len(weights)):
        if present[submember]:
            found += weights[submember]
        else:
            absent += weights[submember]
    return found, absent


@compiled_part
def _rescale_scores(
    first_slot: int,
    count: int,
    present: np.ndarray,
    running: _Running,
    weights: np.ndarray,
    weights_total: float,
    confidence: int,
    allows_overflow: bool,
    scores: np.ndarray,
) -> None:
    """Turn the best score of each cluster (in `scores`) into the fused confidence."""
    largest_weight = 0.0
    for submember in range(len(weights)):
        largest_weight = max(largest_weight, weights[submember])
    for cluster in range(count):
        slot = first_slot + cluster
        size = running.sizes[cluster]
        score, weight = _cluster_score(cluster, scores[slot], running, confidence == MAX)
        if confidence == MAX:
            scores[slot] = score / largest_weight
        elif confidence == BOX_AND_MODEL_AVG:
            found, _ = _weight_found_and_absent(weights, present[cluster])
            scores[slot] = score * size / weight * found / weights_total
        elif confidence == ABSENT_MODEL_AWARE_AVG:
            _, absent = _weight_found_and_absent(weights, present[cluster])
            scores[slot] = score * size / (weight + absent)
        elif allows_overflow:
            scores[slot] = score * size / weights_total
        else:
            scores[slot] = score * min(len(weights), size) / weights_total


@compiled_part
def _cluster_image(
    image: int,
    candidates: Candidates,
    weights: np.ndarray,
    iou_of_class: np.ndarray,
    running: _Running,
    present: np.ndarray,
    clusters: Clusters,
) -> np.int64:
    """Put one image's candidates into clusters and return their number.

    `present[cluster, submember]` is kept up to date unless it has no rows.
    """
    first_slot = candidates.slots[image]
    boxes = clusters.boxes_xyxy[first_slot:]
    # Typed zeros: from an untyped 0 numba would compile every part twice.
    count, group_start, group_class = np.int64(0), np.int64(0), np.int64(-1)
    for i in range(first_slot, first_slot + candidates.counts[image]):
        if candidates.classes[i] != group_class:
            group_start, group_class = count, candidates.classes[i]
        box, score, submember = (
            candidates.boxes_xyxy[i],
            candidates.scores[i],
            candidates.submembers[i],
        )
        threshold = iou_of_class[group_class]
        found = _best_cluster(box, boxes, running.areas, group_start, count, threshold)
        if found < 0:
            found = count
            count += 1
            _start_cluster(found, box, score, weights[submember], running, boxes)
            clusters.scores[first_slot + found] = score
            clusters.classes[first_slot + found] = group_class
            for member in range(len(weights) if len(present) else 0):
                present[found, member] = False
        else:
            _join_cluster(found, box, score, weights[submember], running, boxes)
        if len(present):
            present[found, submember] = True
        clusters.of_candidate[i] = found
    return count


@compiled
def fuse_wbf(
    candidates: Candidates,
    weights: np.ndarray,
    weights_total: float,
    iou_of_class: np.ndarray,
    confidence: int,
    allows_overflow: bool,
    clusters: Clusters,
) -> None:
    """Fill `clusters`.

    Args:
        candidates: boxes of all members, grouped by class, each group by descending score.
        weights: (S,) weight of each sub-member; all count, also those without a box here.
        weights_total: their sum.
        iou_of_class: (C,) a box joins a cluster that it overlaps by more than this.
        confidence: AVG, MAX, BOX_AND_MODEL_AVG or ABSENT_MODEL_AWARE_AVG.
        allows_overflow: AVG may exceed the best score where a cluster has more boxes than members.
        clusters: filled in place, in the order in which clusters were started.
    """
    longest = 1
    for image in range(len(candidates.counts)):
        longest = max(longest, candidates.counts[image])
    running = _Running(
        np.empty((longest, 4), np.float32),
        np.empty(longest, np.float64),
        np.empty(longest, np.float64),
        np.empty(longest, np.float64),
        np.empty(longest, np.int64),
    )
    by_member = confidence in (BOX_AND_MODEL_AVG, ABSENT_MODEL_AWARE_AVG)
    present = np.empty((longest if by_member else 0, len(weights)), np.bool_)
    for image in range(len(candidates.counts)):
        count = _cluster_image(image, candidates, weights, iou_of_class, running, present, clusters)
        clusters.counts[image] = count
        _rescale_scores(
            candidates.slots[image], count, present, running, weights, weights_total, confidence,
            allows_overflow, clusters.scores,
        )  # fmt: skip
