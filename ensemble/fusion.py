"""Whole-table fusion: every image of every member in one call, threads over images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_tools.errors import UserError
from ensemble.layout import empty_candidates, empty_clusters
from ensemble.methods import Kernel, method_kernel, score_scales
from ensemble.settings import FusionSettings
from ensemble.table import MemberTable
from ensemble.table_kernel import collect_candidates, pack_clusters, rank_clusters

# Small enough that a run's arrays stay in the cache, that memory does not grow with the table and
# that threads finish together; large enough that the calls themselves cost nothing.
ROWS_PER_CHUNK = 40_000

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Repairs:
    """Boxes that were not taken as they came.

    Attributes:
        below_skip: left out because their score is below `skip`.
        turned: corners swapped.
        clipped: cut off at the image's border.
        without_area: left out because nothing of them is inside the image.
    """

    below_skip: int
    turned: int
    clipped: int
    without_area: int


@dataclass(frozen=True)
class FusedTable:
    """Result of a fusion, grouped by image, each image's boxes by falling score.

    Attributes:
        image_ids: (I,) int64 ascending.
        offsets: (I + 1,) int64; image i owns fused boxes `offsets[i]:offsets[i + 1]`.
        boxes_xyxy: (K, 4) float64 pixels.
        scores: (K,) float64; may exceed 1 when weights or `allows_overflow` make them.
        labels: (K,) int64 category ids.
        cluster_of_row: (N,) int64 fused box that each input row went into; -1 if into none.
        repairs: counts of boxes that were changed or left out.
    """

    image_ids: np.ndarray
    offsets: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    cluster_of_row: np.ndarray
    repairs: Repairs


class _Part(NamedTuple):
    """Fused boxes of a run of images: (n,) counts, columns of K boxes, (4,) repair counts."""

    counts: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    repairs: np.ndarray


def fuse_table(
    table: MemberTable,
    settings: FusionSettings,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> FusedTable:
    """Fuse all members on all images; the result does not depend on the number of threads.

    Args:
        table: the members.
        settings: method, thresholds and weights.
        threads: default is one per usable core.
        progress: called with the number of images finished since the last call.

    Raises:
        UserError: wrong number of weights, or a class or view that does not exist.
    """
    weights = source_weights(table, settings)
    kernel = method_kernel(settings, weights, iou_per_class(table, settings))
    scales = score_scales(settings, weights)
    cluster_of_row = np.full(len(table.rows.scores), -1, np.int64)
    chunks = _chunks(table.slots)

    def work(first: int, last: int) -> _Part:
        return _fuse_images(first, last, table, scales, settings.skip, kernel, cluster_of_row)

    return _joined(table, chunks, _run_chunks(work, chunks, threads, progress), cluster_of_row)


def source_weights(table: MemberTable, settings: FusionSettings) -> np.ndarray:
    """Return the (S,) weight of each sub-member.

    Where scores are averaged, a member's views share the member's weight. Where the best box
    decides (`max` and the other methods) the heaviest view has all of it: with a share only, its
    boxes would rank below those of members with one view.
    """
    members = table.number_of_members
    member_weights = settings.weights or (1.0,) * members
    if len(member_weights) != members:
        raise UserError(
            f"{len(member_weights)} weights for {members} members",
            expected="one weight for each member, in their order",
        )
    unknown = sorted(set(settings.view_weights) - set(table.view_of_source))
    if unknown:
        raise UserError(
            f"no member has a view {unknown[0]!r}",
            expected=f"one of {', '.join(dict.fromkeys(table.view_of_source))}",
        )
    view_weights = [settings.view_weights.get(view, 1.0) for view in table.view_of_source]
    averaged = settings.method == "wbf" and settings.confidence != "max"
    weights = np.empty(len(view_weights))
    for member in range(members):
        own = table.member_of_source == member
        share = np.array(view_weights)[own]
        # A single view keeps the member's weight to the last bit.
        weights[own] = member_weights[member] * (share / (share.sum() if averaged else share.max()))
    return weights


def iou_per_class(table: MemberTable, settings: FusionSettings) -> np.ndarray:
    """Return the (C,) IoU threshold of each class of the table."""
    thresholds = np.full(len(table.class_ids), float(settings.iou))
    for class_id, threshold in settings.iou_of_class.items():
        position = np.flatnonzero(table.class_ids == class_id)
        if not len(position):
            raise UserError(
                f"IoU threshold for class {class_id}, which does not exist",
                expected=f"one of {table.class_ids.tolist()}",
            )
        thresholds[position] = threshold
    return thresholds


def usable_cores() -> int:
    """Cores that this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _chunks(slots: np.ndarray) -> list[tuple[int, int]]:
    """Cut the images into runs of about `ROWS_PER_CHUNK` rows."""
    images = len(slots) - 1
    pieces = max(1, int(slots[-1]) // ROWS_PER_CHUNK)
    targets = np.linspace(0, int(slots[-1]), pieces + 1)[1:-1]
    cuts = np.unique(np.concatenate([[0], np.searchsorted(slots, targets), [images]]))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _fuse_images(
    first: int,
    last: int,
    table: MemberTable,
    scales: np.ndarray,
    skip: float,
    kernel: Kernel,
    cluster_of_row: np.ndarray,
) -> _Part:
    """Fuse a run of images; `cluster_of_row` gets places within the run."""
    rows = table.rows._replace(offsets=table.rows.offsets[:, first : last + 1].copy())
    slots = table.slots[first : last + 1] - table.slots[first]
    box_dtype = table.rows.boxes_xyxy.dtype
    largest = int(np.diff(slots).max(initial=0))
    picked = empty_candidates(np.array([0, largest + 1]), box_dtype)
    candidates, clusters = empty_candidates(slots, box_dtype), empty_clusters(slots)
    repairs = np.zeros(4, np.int64)
    sizes_wh = table.sizes_wh[first:last]
    collect_candidates(
        rows, scales, table.class_ids, sizes_wh, float(skip), picked, candidates, repairs
    )
    kernel(candidates, clusters)
    order = np.empty(len(clusters.scores), np.int32)
    rank_clusters(candidates, clusters, order)
    offsets = np.concatenate([[0], np.cumsum(clusters.counts)]).astype(np.int64)
    size = int(offsets[-1])
    boxes, scores, classes = np.empty((size, 4)), np.empty(size), np.empty(size, np.int32)
    pack_clusters(candidates, clusters, order, offsets, boxes, scores, classes, cluster_of_row)
    return _Part(clusters.counts, boxes, scores, classes, repairs)


def _run_chunks(
    work: Callable[[int, int], _Part],
    chunks: Sequence[tuple[int, int]],
    threads: int | None,
    progress: Progress | None,
) -> list[_Part]:
    # Threads of our own instead of numba's: its thread layers crash when used from two threads or
    # after a fork, compile for seconds longer and cannot report progress.
    with ThreadPoolExecutor(max_workers=threads or usable_cores()) as pool:
        futures = [pool.submit(work, first, last) for first, last in chunks]
        try:
            for future in as_completed(futures):
                images = len(future.result().counts)
                if progress:
                    progress(images)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _joined(
    table: MemberTable,
    chunks: Sequence[tuple[int, int]],
    parts: Sequence[_Part],
    cluster_of_row: np.ndarray,
) -> FusedTable:
    """Put the parts one after the other; `cluster_of_row` is moved along in place."""
    start = 0
    for (first, last), part in zip(chunks, parts, strict=True):
        for offsets in table.rows.offsets:
            own = cluster_of_row[offsets[first] : offsets[last]]
            own[own >= 0] += start
        start += len(part.scores)
    classes = _concatenated([part.classes for part in parts], np.zeros(0, np.int32))
    counts = _concatenated([part.counts for part in parts], np.zeros(0, np.int64))
    return FusedTable(
        image_ids=table.image_ids,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes_xyxy=_concatenated([part.boxes_xyxy for part in parts], np.zeros((0, 4))),
        scores=_concatenated([part.scores for part in parts], np.zeros(0)),
        labels=table.class_ids[classes],
        cluster_of_row=cluster_of_row,
        repairs=Repairs(*np.sum([part.repairs for part in parts], axis=0, initial=0).tolist())
        if parts
        else Repairs(0, 0, 0, 0),
    )


def _concatenated(arrays: list[np.ndarray], empty: np.ndarray) -> np.ndarray:
    return np.concatenate(arrays) if arrays else empty
