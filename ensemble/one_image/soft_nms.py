"""Soft-NMS for one image, a drop-in for the reference package's function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ensemble.kernels.methods import method_kernel
from ensemble.one_image.lists import (
    Fused,
    checked_choice,
    checked_members,
    checked_number,
    image_candidates,
    run_on_image,
)
from ensemble.one_image.nms import nms, scales_of_weights
from ensemble.settings import DECAYS, FusionSettings

# The reference package's numbers for the methods.
LINEAR, GAUSSIAN, PLAIN = 1, 2, 3


def soft_nms(
    boxes: Sequence[Any],
    scores: Sequence[Any],
    labels: Sequence[Any],
    method: int = GAUSSIAN,
    iou_thr: float = 0.5,
    sigma: float = 0.5,
    thresh: float = 0.001,
    weights: Sequence[float] | None = None,
    *,
    decayed_scores: bool = True,
) -> Fused:
    """Lower the scores of one image's boxes by their overlap with better ones (arXiv:1704.04503).

    Boxes and order (by label, then order of selection) are those of `ensemble_boxes.soft_nms`
    1.0.9. Its scores are not: it computes the lowered scores, drops boxes by them and then returns
    the scores it was given, which undoes the method. `decayed_scores=False` returns those.
    It also differs as `ensemble.one_image.nms.nms` does.

    Args:
        boxes, scores, labels, weights: as for `nms`.
        method: 1 linear, 2 gaussian, 3 plain NMS.
        iou_thr: linear: overlaps up to this leave the score alone.
        sigma: gaussian: the score is multiplied by exp(-IoU^2 / sigma).
        thresh: boxes whose lowered score is not above this are dropped.
        decayed_scores: return the lowered scores.

    Returns:
        (k, 4) boxes, (k,) scores and (k,) int64 labels.

    Raises:
        FusionInputError: bad input.
    """
    checked_choice("method", method, (LINEAR, GAUSSIAN, PLAIN))
    if method == PLAIN:
        return nms(boxes, scores, labels, iou_thr=iou_thr, weights=weights)
    members = checked_members(boxes, scores, labels)
    threshold = checked_number("iou_thr", iou_thr)
    checked_number("sigma", sigma, low=1e-300)
    scales, divisor = scales_of_weights(weights, len(members))
    candidates, class_labels = image_candidates(
        members, scales, -np.inf, argsort=None, divisor=divisor, sorted_classes=True
    )
    settings = FusionSettings(
        method="soft_nms", decay=DECAYS[method - 1], sigma=float(sigma), score_floor=float(thresh)
    )
    kernel = method_kernel(settings, scales, np.full(len(class_labels), threshold))
    clusters = run_on_image(kernel, candidates)
    kept_scores = clusters.scores if decayed_scores else _scores_of_kept(candidates, clusters)
    return clusters.boxes_xyxy, kept_scores, class_labels[clusters.classes]


def _scores_of_kept(candidates: Any, clusters: Any) -> np.ndarray:
    kept = clusters.of_candidate >= 0
    scores = np.empty(int(kept.sum()))
    scores[clusters.of_candidate[kept]] = candidates.scores[kept]
    return scores
