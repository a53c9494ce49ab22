"""First pass: pick, clip, group by class and sort the boxes of each image."""

from __future__ import annotations

import numpy as np

from ensemble.compiled import compiled
from ensemble.layout import Candidates, Rows

# Columns of the repair counts: every box that was not taken as it came.
BELOW_SKIP, TURNED, CLIPPED, WITHOUT_AREA = range(4)


@compiled
def _clean_box(box, limit_x, limit_y, cleaned):  # noqa: ANN001, ANN202
    # Swap first, then clip: the order of the reference code.
    x1, x2 = min(box[0], box[2]), max(box[0], box[2])
    y1, y2 = min(box[1], box[3]), max(box[1], box[3])
    cleaned[0] = min(max(x1, 0.0), limit_x)
    cleaned[1] = min(max(y1, 0.0), limit_y)
    cleaned[2] = min(max(x2, 0.0), limit_x)
    cleaned[3] = min(max(y2, 0.0), limit_y)
    turned = box[2] < box[0] or box[3] < box[1]
    clipped = cleaned[0] != x1 or cleaned[1] != y1 or cleaned[2] != x2 or cleaned[3] != y2
    return turned, clipped


@compiled
def _pick_boxes(image, rows, weights, class_ids, size_wh, skip, picked, box, repairs):  # noqa: ANN001, ANN202
    """Write this image's boxes to `picked` from slot 0 on, in the order of the members."""
    count = 0
    cleaned = np.empty(4, np.float64)
    for member in range(rows.offsets.shape[0]):
        for row in range(rows.offsets[member, image], rows.offsets[member, image + 1]):
            if rows.scores[row] < skip:
                repairs[BELOW_SKIP] += 1
                continue
            for side in range(4):
                box[side] = rows.boxes_xyxy[row, side]
            turned, clipped = _clean_box(box, float(size_wh[0]), float(size_wh[1]), cleaned)
            repairs[TURNED] += turned
            repairs[CLIPPED] += clipped
            if (cleaned[2] - cleaned[0]) * (cleaned[3] - cleaned[1]) == 0.0:
                repairs[WITHOUT_AREA] += 1
                continue
            source = rows.sources[row]
            picked.boxes_xyxy[count] = cleaned
            picked.scores[count] = np.float64(rows.scores[row]) * weights[source]
            picked.sources[count] = source
            picked.classes[count] = np.searchsorted(class_ids, rows.labels[row])
            picked.rows[count] = row
            count += 1
    return count


@compiled
def _order_by_class_and_score(picked, count, rank_of_class, class_of_rank, order):  # noqa: ANN001, ANN202
    """Fill `order`: classes as they first appear, scores falling, of equal scores the later first.

    That is the order of the reference code (a dictionary of classes, each sorted by
    `argsort()[::-1]`) wherever its sort is stable.
    """
    ranks = 0
    size_of_rank = np.zeros(count + 1, np.int64)
    for i in range(count):
        picked_class = picked.classes[i]
        if rank_of_class[picked_class] < 0:
            rank_of_class[picked_class] = ranks
            class_of_rank[ranks] = picked_class
            ranks += 1
        size_of_rank[rank_of_class[picked_class]] += 1
    ends = np.cumsum(size_of_rank)
    for i in range(count):
        rank = rank_of_class[picked.classes[i]]
        ends[rank] -= 1
        order[ends[rank]] = i
    for rank in range(ranks):
        start, size = ends[rank], size_of_rank[rank]
        group = order[start : start + size].copy()
        order[start : start + size] = group[np.argsort(-picked.scores[group], kind="mergesort")]
        rank_of_class[class_of_rank[rank]] = -1


@compiled
def collect_candidates(  # noqa: ANN201
    first: int,
    last: int,
    rows: Rows,
    weights: np.ndarray,
    class_ids: np.ndarray,
    sizes_wh: np.ndarray,
    skip: float,
    picked: Candidates,
    candidates: Candidates,
    repairs: np.ndarray,
):
    """Fill `candidates` for some images.

    Args:
        first, last: images to work on.
        rows: all members' boxes.
        weights: (S,) float64 weight of each sub-member.
        class_ids: (C,) int64 ascending; every label is among them.
        sizes_wh: (I, 2) width and height of each image.
        skip: boxes whose own score is lower are left out.
        picked: scratch with room for the largest image.
        candidates: filled in place.
        repairs: (4,) int64 counts, added to in place.
    """
    rank_of_class = np.full(len(class_ids), -1, np.int64)
    class_of_rank = np.empty(len(class_ids), np.int64)
    order = np.empty(len(picked.scores), np.int64)
    box = np.empty(4, np.float64)
    for image in range(first, last):
        size_wh = sizes_wh[image]
        count = _pick_boxes(image, rows, weights, class_ids, size_wh, skip, picked, box, repairs)
        _order_by_class_and_score(picked, count, rank_of_class, class_of_rank, order)
        candidates.counts[image] = count
        start = candidates.slots[image]
        for i in range(count):
            candidates.boxes_xyxy[start + i] = picked.boxes_xyxy[order[i]]
            candidates.scores[start + i] = picked.scores[order[i]]
            candidates.sources[start + i] = picked.sources[order[i]]
            candidates.classes[start + i] = picked.classes[order[i]]
            candidates.rows[start + i] = picked.rows[order[i]]
