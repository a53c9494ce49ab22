"""First and last pass over the table: pick and sort candidates, sort and pack fused boxes.

Of equal scores the later one comes first in both passes. That is the order of the reference code,
`argsort()[::-1]`, wherever its sort is stable.
"""

from __future__ import annotations

import numpy as np

from data_tools.ground.compiled import compiled, compiled_part
from ensemble.kernels.layout import Candidates, Clusters, Rows

# Columns of the repair counts: every box that was not taken as it came.
BELOW_SKIP, TURNED, CLIPPED, WITHOUT_AREA = range(4)
INSERTION_SORT_SIZE = 24


@compiled_part
def _insertion_sort(order: np.ndarray, keys: np.ndarray, start: int, end: int) -> None:
    for i in range(start + 1, end):
        moving, j = order[i], i - 1
        while j >= start and keys[order[j]] < keys[moving]:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = moving


@compiled_part
def _merge(order: np.ndarray, keys: np.ndarray, bounds: tuple, spare: np.ndarray) -> None:
    start, middle, end = bounds
    left, right = start, middle
    for target in range(start, end):
        take_right = left >= middle or (right < end and keys[order[right]] > keys[order[left]])
        spare[target] = order[right] if take_right else order[left]
        right += take_right
        left += not take_right
    for i in range(start, end):
        order[i] = spare[i]


@compiled_part
def _sort_descending(
    order: np.ndarray, keys: np.ndarray, start: int, end: int, spare: np.ndarray
) -> None:
    """Sort `order[start:end]` so that `keys[order]` falls; equal keys keep their order."""
    for run in range(start, end, INSERTION_SORT_SIZE):
        _insertion_sort(order, keys, run, min(run + INSERTION_SORT_SIZE, end))
    width = INSERTION_SORT_SIZE
    while width < end - start:
        for run in range(start, end - width, 2 * width):
            _merge(order, keys, (run, run + width, min(run + 2 * width, end)), spare)
        width *= 2


@compiled_part
def _clean_box(box: np.ndarray, target: np.ndarray, limits: tuple) -> tuple[bool, bool, bool]:
    """Write the box to `target`, corners swapped, then clipped, as the reference code does.

    Returns:
        Whether corners were swapped, whether it was clipped, whether any area is left.
    """
    turned = clipped = False
    for axis in range(2):
        low, high = np.float64(box[axis]), np.float64(box[axis + 2])
        if high < low:
            low, high, turned = high, low, True
        clipped_low = min(max(low, 0.0), limits[axis])
        clipped_high = min(max(high, 0.0), limits[axis])
        clipped |= clipped_low != low or clipped_high != high
        target[axis], target[axis + 2] = clipped_low, clipped_high
    width = np.float64(target[2]) - np.float64(target[0])
    height = np.float64(target[3]) - np.float64(target[1])
    return turned, clipped, width * height != 0.0


@compiled_part
def _class_of_label(class_ids: np.ndarray, label: int) -> int:
    low, high = 0, len(class_ids) - 1
    while low < high:
        middle = (low + high) // 2
        if class_ids[middle] < label:
            low = middle + 1
        else:
            high = middle
    return low


@compiled_part
def _pick_boxes(
    image: int,
    rows: Rows,
    scales: np.ndarray,
    class_ids: np.ndarray,
    limits: tuple,
    skip: float,
    picked: Candidates,
    repairs: np.ndarray,
) -> int:
    """Write this image's boxes to `picked` from slot 0 on, in the order of the members."""
    count = 0
    for member in range(rows.offsets.shape[0]):
        for row in range(rows.offsets[member, image], rows.offsets[member, image + 1]):
            if rows.scores[row] < skip:
                repairs[BELOW_SKIP] += 1
                continue
            turned, clipped, has_area = _clean_box(
                rows.boxes_xyxy[row], picked.boxes_xyxy[count], limits
            )
            repairs[TURNED] += turned
            repairs[CLIPPED] += clipped
            repairs[WITHOUT_AREA] += not has_area
            if has_area:
                submember = rows.submembers[row]
                picked.scores[count] = np.float64(rows.scores[row]) * scales[submember]
                picked.submembers[count] = submember
                picked.classes[count] = _class_of_label(class_ids, rows.labels[row])
                picked.rows[count] = row
                count += 1
    return count


@compiled_part
def _order_by_class_and_score(
    picked: Candidates,
    count: int,
    rank_of_class: np.ndarray,
    ends: np.ndarray,
    order: np.ndarray,
    spare: np.ndarray,
) -> None:
    """Fill `order`: classes as they first appear, each by descending score.

    Of equal scores the later comes first.

    `rank_of_class` is -1 for every class, before and after.
    """
    ranks = 0
    for i in range(count):
        picked_class = picked.classes[i]
        if rank_of_class[picked_class] < 0:
            rank_of_class[picked_class] = ranks
            ends[ranks] = 0
            ranks += 1
        ends[rank_of_class[picked_class]] += 1
    for rank in range(1, ranks):
        ends[rank] += ends[rank - 1]
    ends[ranks] = count
    for i in range(count):
        rank = rank_of_class[picked.classes[i]]
        ends[rank] -= 1
        order[ends[rank]] = i
    for i in range(count):
        rank_of_class[picked.classes[i]] = -1
    for rank in range(ranks):
        _sort_descending(order, picked.scores, ends[rank], ends[rank + 1], spare)


@compiled
def collect_candidates(
    rows: Rows,
    scales: np.ndarray,
    class_ids: np.ndarray,
    sizes_wh: np.ndarray,
    skip: float,
    picked: Candidates,
    candidates: Candidates,
    repairs: np.ndarray,
) -> None:
    """Fill `candidates`.

    Args:
        rows: all members' boxes; `offsets` are of the run of images.
        scales: (S,) float64 factor on the scores of each sub-member.
        class_ids: (C,) int64 ascending; every label is among them.
        sizes_wh: (I, 2) width and height of each image.
        skip: boxes whose own score is lower are left out.
        picked: scratch with room for one box more than the largest image has.
        candidates: filled in place.
        repairs: (4,) int64 counts, added to in place.
    """
    rank_of_class = np.empty(len(class_ids), np.int64)
    for i in range(len(class_ids)):
        rank_of_class[i] = -1
    ends = np.empty(len(class_ids) + 1, np.int64)
    order = np.empty(len(picked.scores), np.int64)
    spare = np.empty(len(picked.scores), np.int64)
    for image in range(len(candidates.counts)):
        limits = (float(sizes_wh[image, 0]), float(sizes_wh[image, 1]))
        count = _pick_boxes(image, rows, scales, class_ids, limits, skip, picked, repairs)
        _order_by_class_and_score(picked, count, rank_of_class, ends, order, spare)
        candidates.counts[image] = count
        start = candidates.slots[image]
        for i in range(count):
            source, target = order[i], start + i
            for side in range(4):
                candidates.boxes_xyxy[target, side] = picked.boxes_xyxy[source, side]
            candidates.scores[target] = picked.scores[source]
            candidates.submembers[target] = picked.submembers[source]
            candidates.classes[target] = picked.classes[source]
            candidates.rows[target] = picked.rows[source]


@compiled
def rank_clusters(candidates: Candidates, clusters: Clusters, order: np.ndarray) -> None:
    """Write to each slot of `order` which of its image's fused boxes belongs there by score."""
    longest = 1
    for image in range(len(clusters.counts)):
        longest = max(longest, clusters.counts[image])
    local, spare = np.empty(longest, np.int64), np.empty(longest, np.int64)
    for image in range(len(clusters.counts)):
        start, count = candidates.slots[image], clusters.counts[image]
        for i in range(count):
            local[i] = count - 1 - i
        # A typed zero: from an untyped one numba would compile the sort twice.
        _sort_descending(local, clusters.scores[start:], np.int64(0), count, spare)
        for i in range(count):
            order[start + i] = local[i]


@compiled
def pack_clusters(
    candidates: Candidates,
    clusters: Clusters,
    order: np.ndarray,
    offsets: np.ndarray,
    class_ids: np.ndarray,
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    cluster_of_row: np.ndarray,
) -> None:
    """Copy all clusters to whole columns, each image's by descending score.

    Args:
        candidates, clusters: of the run of images.
        order: from `rank_clusters`; overwritten.
        offsets: (I + 1,) where each image's fused boxes begin in the columns.
        class_ids: (C,) int64 label of each class.
        boxes_xyxy, scores, labels: (K, ...) columns of the fused boxes, filled in place.
        cluster_of_row: (N,) of the run's rows, filled in place where a row joined a fused box
            with that box's place in the columns.
    """
    for image in range(len(clusters.counts)):
        start, target = candidates.slots[image], offsets[image]
        for i in range(clusters.counts[image]):
            source = start + order[start + i]
            for side in range(4):
                boxes_xyxy[target + i, side] = clusters.boxes_xyxy[source, side]
            scores[target + i] = clusters.scores[source]
            labels[target + i] = class_ids[clusters.classes[source]]
        # Fused boxes by number of cluster; the slots of `classes` are free to hold it by now.
        for i in range(clusters.counts[image]):
            clusters.classes[start + order[start + i]] = i
        for i in range(start, start + candidates.counts[image]):
            if clusters.of_candidate[i] >= 0:
                position = clusters.classes[start + clusters.of_candidate[i]]
                cluster_of_row[candidates.rows[i]] = target + position
