"""Whole-table fusion: every image of every member in one call, threads over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_tools.ground.errors import UserError
from ensemble.kernels.chunks import Places, Progress, cut_into_chunks, run_chunks
from ensemble.kernels.layout import Candidates, Clusters, Rows, empty_candidates, empty_clusters
from ensemble.kernels.methods import method_kernel, score_scales
from ensemble.kernels.table import collect_candidates, pack_clusters, rank_clusters
from ensemble.member_table import MemberTable
from ensemble.settings import FusionSettings


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
    """Result of a fusion, grouped by image, each image's boxes by descending score.

    Attributes:
        image_ids: (I,) int64 ascending.
        offsets: (I + 1,) int64; image i owns fused boxes `offsets[i]:offsets[i + 1]`.
        boxes_xyxy: (K, 4) pixels, float32 like the members' boxes.
        scores: (K,) float64; may exceed 1 when weights or `allows_overflow` make them.
        labels: (K,) int64 category ids.
        cluster_of_row: (N,) int32 (int64 above 2^31 rows) fused box that each input row went into;
            -1 if into none.
        repairs: counts of boxes that were changed or left out.
    """

    image_ids: np.ndarray
    offsets: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    cluster_of_row: np.ndarray
    repairs: Repairs


class _Output(NamedTuple):
    """Columns of the whole result, with room for every input box; each run of images fills its own.

    Memory that nothing was ever written to costs nothing, so the columns are not made in parts
    that would have to be copied together.
    """

    counts: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    cluster_of_row: np.ndarray


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
    weights = submember_weights(table, settings)
    kernel = method_kernel(settings, weights, iou_per_class(table, settings))
    scales = score_scales(settings, weights)
    output, places = _empty_output(table), Places()

    def work(run: int, first: int, last: int) -> np.ndarray:
        rows = table.rows_of_images(first, last)
        candidates, repairs = _candidates(table, rows, first, last, scales, settings.skip)
        clusters = empty_clusters(candidates.slots)
        kernel(candidates, clusters)
        start = places.take(run, int(clusters.counts.sum()))
        _write(table, first, last, candidates, clusters, start, output)
        return repairs

    repairs = run_chunks(work, cut_into_chunks(table.slots), places, threads, progress)
    return _fused(table, output, repairs)


def submember_weights(table: MemberTable, settings: FusionSettings) -> np.ndarray:
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
    unknown = sorted(set(settings.view_weights) - set(table.view_of_submember))
    if unknown:
        raise UserError(
            f"no member has a view {unknown[0]!r}",
            expected=f"one of {', '.join(dict.fromkeys(table.view_of_submember))}",
        )
    view_weights = [settings.view_weights.get(view, 1.0) for view in table.view_of_submember]
    averaged = settings.method == "wbf" and settings.confidence != "max"
    weights = np.empty(len(view_weights))
    for member in range(members):
        own = table.member_of_submember == member
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


def _empty_output(table: MemberTable) -> _Output:
    boxes = table.number_of_boxes
    box_dtype = table.members[0].boxes_xyxy.dtype
    return _Output(
        counts=np.zeros(len(table.image_ids), np.int64),
        boxes_xyxy=np.empty((boxes, 4), box_dtype),
        scores=np.empty(boxes),
        labels=np.empty(boxes, np.int64),
        cluster_of_row=np.empty(boxes, np.int32 if boxes < 2**31 else np.int64),
    )


def _candidates(
    table: MemberTable, rows: Rows, first: int, last: int, scales: np.ndarray, skip: float
) -> tuple[Candidates, np.ndarray]:
    """Return the candidates of a run of images and (4,) counts of repairs."""
    slots = table.slots[first : last + 1] - table.slots[first]
    box_dtype = rows.boxes_xyxy.dtype
    largest = int(np.diff(slots).max(initial=0))
    picked = empty_candidates(np.array([0, largest + 1]), box_dtype)
    candidates, repairs = empty_candidates(slots, box_dtype), np.zeros(4, np.int64)
    sizes_wh = table.sizes_wh[first:last]
    collect_candidates(
        rows, scales, table.class_ids, sizes_wh, float(skip), picked, candidates, repairs
    )
    return candidates, repairs


def _write(
    table: MemberTable,
    first: int,
    last: int,
    candidates: Candidates,
    clusters: Clusters,
    start: int,
    output: _Output,
) -> None:
    """Write a run's fused boxes to the rows from `start` on, and where its input rows went."""
    order = np.empty(len(clusters.scores), np.int32)
    rank_clusters(candidates, clusters, order)
    offsets = start + np.concatenate([[0], np.cumsum(clusters.counts)]).astype(np.int64)
    cluster_of_row = np.full(len(clusters.scores), -1, output.cluster_of_row.dtype)
    pack_clusters(
        candidates,
        clusters,
        order,
        offsets,
        table.class_ids,
        output.boxes_xyxy,
        output.scores,
        output.labels,
        cluster_of_row,
    )
    output.counts[first:last] = clusters.counts
    done = member_start = 0
    for member in table.members:
        own = slice(int(member.offsets[0, first]), int(member.offsets[0, last]))
        size = own.stop - own.start
        target = member_start + own.start
        output.cluster_of_row[target : target + size] = cluster_of_row[done : done + size]
        done, member_start = done + size, member_start + len(member.scores)


def _fused(table: MemberTable, output: _Output, repairs: np.ndarray) -> FusedTable:
    offsets = np.concatenate([[0], np.cumsum(output.counts)]).astype(np.int64)
    size = int(offsets[-1])
    # Room that was not needed goes back, in place.
    output.boxes_xyxy.resize((size, 4), refcheck=False)
    output.scores.resize(size, refcheck=False)
    output.labels.resize(size, refcheck=False)
    return FusedTable(
        image_ids=table.image_ids,
        offsets=offsets,
        boxes_xyxy=output.boxes_xyxy,
        scores=output.scores,
        labels=output.labels,
        cluster_of_row=output.cluster_of_row,
        repairs=Repairs(*repairs.tolist()),
    )
