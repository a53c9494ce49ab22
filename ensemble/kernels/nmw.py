"""Non-maximum weighted fusion of candidates that are grouped by class and sorted by score."""

from __future__ import annotations

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part
from ensemble.kernels.layout import Candidates, Clusters


@compiled_part
def _iou(box: np.ndarray, other: np.ndarray) -> float:
    x1, y1, x2, y2 = np.float64(box[0]), np.float64(box[1]), np.float64(box[2]), np.float64(box[3])
    width = min(np.float64(other[2]), x2) - max(np.float64(other[0]), x1)
    height = min(np.float64(other[3]), y2) - max(np.float64(other[1]), y1)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    other_area = (np.float64(other[2]) - np.float64(other[0])) * (
        np.float64(other[3]) - np.float64(other[1])
    )
    intersection = width * height
    return intersection / (other_area + (x2 - x1) * (y2 - y1) - intersection)


@compiled_part
def _add(
    cluster: int, box: np.ndarray, score: float, best: np.ndarray, best_score: float,
    box_sums: np.ndarray, share_sums: np.ndarray,
) -> None:  # fmt: skip
    # Scores fall, so where the best one is 0 all are: the overlap alone decides then, where the
    # reference code divides 0 by 0.
    share = _iou(box, best) * (score if best_score > 0.0 else 1.0)
    share_sums[cluster] += share
    for side in range(4):
        # Rounded to single precision at each step, as in the reference code.
        box_sums[cluster, side] = np.float64(box_sums[cluster, side]) + share * np.float64(
            box[side]
        )


@compiled
def fuse_nmw(candidates: Candidates, iou_of_class: np.ndarray, clusters: Clusters) -> None:
    """Average each kept box with those it suppresses, by score times overlap with the kept box.

    Args:
        candidates: grouped by class, each group by descending score.
        iou_of_class: (C,) a box joins the kept box that it overlaps most, if by more than this.
        clusters: filled in place; the score is that of the kept box, in single precision.
    """
    longest = 1
    for image in range(len(candidates.counts)):
        longest = max(longest, candidates.counts[image])
    box_sums, share_sums = np.empty((longest, 4), np.float32), np.empty(longest, np.float64)
    kept = np.empty(longest, np.int64)
    for image in range(len(candidates.counts)):
        first_slot, count, group_start, group_class = candidates.slots[image], 0, 0, -1
        for i in range(first_slot, first_slot + candidates.counts[image]):
            if candidates.classes[i] != group_class:
                group_start, group_class = count, candidates.classes[i]
            box = candidates.boxes_xyxy[i]
            found, best_iou = -1, iou_of_class[group_class]
            for cluster in range(group_start, count):
                iou = _iou(box, candidates.boxes_xyxy[kept[cluster]])
                if iou > best_iou:
                    found, best_iou = cluster, iou
            if found < 0:
                found = count
                count += 1
                kept[found] = i
                share_sums[found] = 0.0
                for side in range(4):
                    box_sums[found, side] = 0.0
                clusters.scores[first_slot + found] = np.float32(candidates.scores[i])
                clusters.classes[first_slot + found] = group_class
            best = kept[found]
            _add(
                found, box, candidates.scores[i], candidates.boxes_xyxy[best],
                candidates.scores[best], box_sums, share_sums,
            )  # fmt: skip
            clusters.of_candidate[i] = found
        for cluster in range(count):
            for side in range(4):
                clusters.boxes_xyxy[first_slot + cluster, side] = np.float32(
                    np.float64(box_sums[cluster, side]) / share_sums[cluster]
                )
        clusters.counts[image] = count
