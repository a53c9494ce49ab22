"""Lists of one image's boxes, as the reference package takes them: checked, cleaned, ordered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from data_tools.coco.fractions import LARGEST_FRACTION
from data_tools.ground.errors import UserError
from ensemble.kernels.layout import Candidates, Clusters, empty_clusters

ArgSort = Callable[[np.ndarray], np.ndarray]
Fused = tuple[np.ndarray, np.ndarray, np.ndarray]

Choice = TypeVar("Choice")


class FusionInputError(UserError, ValueError):
    """Boxes, scores, labels, weights or options that cannot be fused."""


def checked_members(
    boxes_list: Sequence[Any], scores_list: Sequence[Any], labels_list: Sequence[Any]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return each member's (n, 4) boxes, (n,) scores and (n,) int64 labels as new arrays.

    Raises:
        FusionInputError: lengths that differ, numbers that are not finite, boxes in pixels, labels
            that are not whole; the message names the member, counted from 1.
    """
    lengths = [len(boxes_list), len(scores_list), len(labels_list)]
    if len(set(lengths)) != 1:
        raise FusionInputError(
            f"boxes, scores and labels are lists of {lengths} members", expected="equal numbers"
        )
    columns = zip(boxes_list, scores_list, labels_list, strict=True)
    return [_checked_member(number, *column) for number, column in enumerate(columns, start=1)]


def _checked_member(
    number: int, boxes: Any, scores: Any, labels: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, scores, labels = (_as_numbers(number, value) for value in (boxes, scores, labels))
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) == scores.size == labels.size:
        raise FusionInputError(
            f"member {number} has boxes of shape {boxes.shape}, {scores.size} scores "
            f"and {labels.size} labels",
            expected="(n, 4) boxes, n scores and n labels",
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise FusionInputError(
            f"member {number} has a box or score that is not finite", expected="finite numbers"
        )
    if boxes.max(initial=0) > LARGEST_FRACTION:
        raise FusionInputError(
            f"member {number} has a box that ends at {boxes.max():g}",
            expected="boxes as fractions of the image, from 0 to 1",
            next_step="divide x by the width of the image and y by its height",
        )
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise FusionInputError(f"member {number} has a label that is not a whole number")
    return boxes, scores.reshape(-1), whole.reshape(-1)


def _as_numbers(number: int, value: Any) -> np.ndarray:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FusionInputError(f"member {number}: {error}", expected="arrays of numbers") from None


def checked_weights(weights: Sequence[float] | None, members: int) -> np.ndarray:
    """Return one weight per member, 1 where none are given.

    Raises:
        FusionInputError: a wrong number of weights (the reference package sets all to 1 then), or
            one that is not above 0.
    """
    if weights is None:
        return np.ones(members)
    numbers: np.ndarray = np.array(weights, dtype=np.float64)
    if numbers.shape != (members,):
        raise FusionInputError(
            f"{numbers.size} weights for {members} members", expected="one for each member"
        )
    if not (np.isfinite(numbers).all() and (numbers > 0).all()):
        raise FusionInputError(f"weights are {numbers.tolist()}", expected="numbers above 0")
    return numbers


def checked_number(name: str, value: float, *, low: float = 0.0) -> float:
    """Return a finite number that is not below `low`, or raise `FusionInputError`."""
    if not (np.isscalar(value) and np.isfinite(value) and value >= low):
        raise FusionInputError(f"`{name}` is {value!r}", expected=f"a number not below {low:g}")
    return float(value)


def checked_choice(name: str, value: Any, choices: Sequence[Choice]) -> Choice:
    """Return a value that is one of the choices, or raise `FusionInputError`."""
    for choice in choices:
        if value == choice:
            return choice
    raise FusionInputError(
        f"`{name}` is {value!r}", expected="one of " + ", ".join(map(str, choices))
    )


def image_candidates(
    members: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    scales: np.ndarray,
    skip: float,
    *,
    argsort: ArgSort | None,
    divisor: float = 1.0,
    sorted_classes: bool = False,
) -> tuple[Candidates, np.ndarray]:
    """Return one image's candidates, boxes clipped to [0, 1], and the label of each class.

    Args:
        members: from `checked_members`.
        scales: (M,) factor on each member's scores.
        skip: boxes with a lower score are left out.
        argsort: how the reference code sorts each class, so that ties fall as they do there;
            None leaves each class in the order of the members.
        divisor: scaled scores are divided by it (multiplying first, as the reference code does,
            makes ties fall alike).
        sorted_classes: classes by rising label instead of by first appearance.
    """
    boxes = np.concatenate([member[0] for member in members] or [np.zeros((0, 4))])
    scores = np.concatenate([member[1] for member in members] or [np.zeros(0)])
    labels = np.concatenate([member[2] for member in members] or [np.zeros(0, np.int64)])
    submembers = np.repeat(np.arange(len(members)), [len(member[1]) for member in members])
    cleaned = _cleaned_boxes(boxes)
    has_area = (cleaned[:, 2] - cleaned[:, 0]) * (cleaned[:, 3] - cleaned[:, 1]) != 0.0
    rows = np.flatnonzero((scores >= skip) & has_area)
    scaled = scores * scales[submembers] / divisor if len(submembers) else scores
    class_labels, groups = _group_rows(rows, labels, sorted_classes)
    if argsort is not None:
        groups = [group[argsort(scaled[group])[::-1]] for group in groups]
    order = np.concatenate(groups) if groups else rows
    sizes = [len(group) for group in groups]
    candidates = Candidates(
        slots=np.array([0, len(order)], np.int64),
        counts=np.array([len(order)], np.int64),
        boxes_xyxy=cleaned[order],
        scores=scaled[order],
        submembers=submembers[order].astype(np.uint16),
        classes=np.repeat(np.arange(len(groups), dtype=np.int32), sizes),
        rows=order.astype(np.int64),
    )
    return candidates, class_labels


def _cleaned_boxes(boxes: np.ndarray) -> np.ndarray:
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.clip(np.concatenate([low, high], axis=1), 0.0, 1.0)


def _group_rows(
    rows: np.ndarray, labels: np.ndarray, sorted_classes: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    class_labels, first_seen = np.unique(labels[rows], return_index=True)
    if not sorted_classes:
        class_labels = class_labels[np.argsort(first_seen)]
    return class_labels, [rows[labels[rows] == label] for label in class_labels]


def run_on_image(
    kernel: Callable[[Candidates, Clusters], None], candidates: Candidates
) -> Clusters:
    """Return the clusters of one image, cut to their number."""
    clusters = empty_clusters(candidates.slots)
    kernel(candidates, clusters)
    count = int(clusters.counts[0])
    return Clusters(
        counts=clusters.counts,
        boxes_xyxy=clusters.boxes_xyxy[:count],
        scores=clusters.scores[:count],
        classes=clusters.classes[:count],
        of_candidate=clusters.of_candidate,
    )
