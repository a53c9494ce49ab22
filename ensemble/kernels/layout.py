"""The arrays that the kernels share.

A kernel works on a run of images, numbered from 0. Image i owns the slots from `slots[i]` on in
every array of `Candidates` and `Clusters`; `counts[i]` of them are used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """The boxes of all members, one after the other.

    Attributes:
        offsets: (M, I + 1) int64; member m's boxes on image i are rows
            `offsets[m, i]:offsets[m, i + 1]`.
        boxes_xyxy: (N, 4) float pixels.
        scores: (N,) float.
        labels: (N,) int64 category ids.
        submembers: (N,) uint16 sub-member of each row: a member, or one test-time view of it.
    """

    offsets: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    submembers: np.ndarray


class Candidates(NamedTuple):
    """Boxes that take part: clipped, grouped by class, each group by descending weighted score.

    Attributes:
        slots: (I + 1,) int64 first slot of each image.
        counts: (I,) int64 slots used by each image.
        boxes_xyxy: (S, 4) float pixels, inside the image.
        scores: (S,) float64, multiplied by the weight of the sub-member.
        submembers: (S,) uint16 sub-member.
        classes: (S,) int32 index into the class ids; equal classes stand together.
        rows: (S,) int64 row of `Rows` that the box came from.
    """

    slots: np.ndarray
    counts: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    submembers: np.ndarray
    classes: np.ndarray
    rows: np.ndarray


class Clusters(NamedTuple):
    """Fused boxes, in the slots of their image.

    Attributes:
        counts: (I,) int64 fused boxes of each image.
        boxes_xyxy: (S, 4) float64 pixels.
        scores: (S,) float64.
        classes: (S,) int32 index into the class ids.
        of_candidate: (S,) int32 number of the cluster within its image that each candidate
            joined; -1 for a candidate that was thrown away.
    """

    counts: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    of_candidate: np.ndarray


def empty_candidates(slots: np.ndarray, box_dtype: np.dtype) -> Candidates:
    """Return unfilled candidates for these slots."""
    size = int(slots[-1])
    return Candidates(
        slots=slots,
        counts=np.zeros(len(slots) - 1, np.int64),
        boxes_xyxy=np.empty((size, 4), box_dtype),
        scores=np.empty(size, np.float64),
        submembers=np.empty(size, np.uint16),
        classes=np.empty(size, np.int32),
        rows=np.empty(size, np.int64),
    )


def empty_clusters(slots: np.ndarray) -> Clusters:
    """Return unfilled clusters for these slots."""
    size = int(slots[-1])
    return Clusters(
        counts=np.zeros(len(slots) - 1, np.int64),
        boxes_xyxy=np.empty((size, 4), np.float64),
        scores=np.empty(size, np.float64),
        classes=np.empty(size, np.int32),
        of_candidate=np.full(size, -1, np.int32),
    )
