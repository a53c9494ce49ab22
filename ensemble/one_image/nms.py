"""Non-maximum suppression for one image, a drop-in for the reference package's function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools.ground.compiled import compiled
from ensemble.kernels.methods import method_kernel
from ensemble.one_image.lists import (
    Fused,
    checked_members,
    checked_number,
    checked_weights,
    image_candidates,
    run_on_image,
)
from ensemble.settings import FusionSettings


@compiled
def _compiled_argsort(scores: np.ndarray) -> np.ndarray:
    # The reference sorts inside compiled code, whose order of ties is not NumPy's.
    return scores.argsort()


def nms(
    boxes: Sequence[Any],
    scores: Sequence[Any],
    labels: Sequence[Any],
    iou_thr: float = 0.5,
    weights: Sequence[float] | None = None,
) -> Fused:
    """Keep, of one image's boxes of one label, those that no better kept box overlaps.

    Boxes, scores and order (by label, then descending score) are those of `ensemble_boxes.nms`
    1.0.9. It differs where that function goes wrong: scores passed in are not overwritten, a wrong
    number of weights is refused instead of ignored, no boxes at all give empty arrays instead of
    an error, labels are int64, nothing is printed.

    Args:
        boxes, scores, labels: one array per model, corners in [0, 1].
        iou_thr: boxes that overlap a kept one by more than this go.
        weights: one number above 0 per model. When given, scores are multiplied by the weight over
            the sum of the weights.

    Returns:
        (k, 4) boxes, (k,) scores and (k,) int64 labels.

    Raises:
        FusionInputError: bad input.
    """
    members = checked_members(boxes, scores, labels)
    threshold = checked_number("iou_thr", iou_thr)
    scales, divisor = scales_of_weights(weights, len(members))
    candidates, class_labels = image_candidates(
        members, scales, -np.inf, argsort=_compiled_argsort, divisor=divisor, sorted_classes=True
    )
    thresholds = np.full(len(class_labels), threshold)
    kernel = method_kernel(FusionSettings(method="nms"), scales, thresholds)
    clusters = run_on_image(kernel, candidates)
    return clusters.boxes_xyxy, clusters.scores, class_labels[clusters.classes]


def scales_of_weights(weights: Sequence[float] | None, members: int) -> tuple[np.ndarray, float]:
    """Return what to multiply each member's scores by, and what to divide them all by then."""
    checked = checked_weights(weights, members)
    return checked, 1.0 if weights is None else float(checked.sum())
