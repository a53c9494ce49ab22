"""Last pass: sort each image's fused boxes and close the gaps between the images."""

from __future__ import annotations

import numpy as np

from ensemble.compiled import compiled
from ensemble.layout import Candidates, Clusters


@compiled
def sort_clusters(first: int, last: int, candidates: Candidates, clusters: Clusters) -> None:
    """Sort the fused boxes of some images by falling score, in place.

    Of equal scores the later cluster comes first, as in the reference code where its sort is
    stable.
    """
    for image in range(first, last):
        start, count = candidates.slots[image], clusters.counts[image]
        end = start + count
        order = count - 1 - np.argsort(-clusters.scores[start:end][::-1], kind="mergesort")
        clusters.boxes_xyxy[start:end] = clusters.boxes_xyxy[start:end][order]
        clusters.scores[start:end] = clusters.scores[start:end][order]
        clusters.classes[start:end] = clusters.classes[start:end][order]
        position = np.empty(count, np.int32)
        for i in range(count):
            position[order[i]] = i
        for i in range(start, start + candidates.counts[image]):
            if clusters.of_candidate[i] >= 0:
                clusters.of_candidate[i] = position[clusters.of_candidate[i]]


@compiled
def close_gaps(
    candidates: Candidates,
    clusters: Clusters,
    offsets: np.ndarray,
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    cluster_of_row: np.ndarray,
) -> None:
    """Copy all clusters to whole columns.

    Args:
        candidates, clusters: after `sort_clusters`.
        offsets: (I + 1,) where each image's fused boxes begin in the columns.
        boxes_xyxy, scores, classes: (K, ...) columns of the fused boxes, filled in place.
        cluster_of_row: (N,) filled in place where a row of the input joined a fused box.
    """
    for image in range(len(clusters.counts)):
        start, target = candidates.slots[image], offsets[image]
        for i in range(clusters.counts[image]):
            for side in range(4):
                boxes_xyxy[target + i, side] = clusters.boxes_xyxy[start + i, side]
            scores[target + i] = clusters.scores[start + i]
            classes[target + i] = clusters.classes[start + i]
        for i in range(start, start + candidates.counts[image]):
            if clusters.of_candidate[i] >= 0:
                cluster_of_row[candidates.rows[i]] = target + clusters.of_candidate[i]
