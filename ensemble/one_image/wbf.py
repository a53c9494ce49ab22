"""Weighted Boxes Fusion for one image, a drop-in for the reference package's function."""

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
    checked_weights,
    image_candidates,
    run_on_image,
)
from ensemble.settings import CONFIDENCE_TYPES, FusionSettings


def weighted_boxes_fusion(
    boxes_list: Sequence[Any],
    scores_list: Sequence[Any],
    labels_list: Sequence[Any],
    weights: Sequence[float] | None = None,
    iou_thr: float = 0.55,
    skip_box_thr: float = 0.0,
    conf_type: str = "avg",
    allows_overflow: bool = False,
) -> Fused:
    """Fuse one image's boxes of several models (Solovyev et al., arXiv:1910.13302).

    Boxes, scores and order are those of `ensemble_boxes.weighted_boxes_fusion` 1.0.9, ties
    included. Where that function goes wrong this one differs:

    - two boxes of score 0 that match divide by zero there and everything after joins the NaN box;
      here the fused box is their unweighted mean, with score 0;
    - a wrong number of weights is replaced by ones there and refused here;
    - bad input ends the process with status 0 there and raises here;
    - labels come back as float32 there (wrong above 2**24) and as int64 here;
    - it warns about boxes outside [0, 1]; here they are clipped without a word.

    Args:
        boxes_list: one (n, 4) array of corners in [0, 1] per model; a model without boxes still
            counts.
        scores_list: one (n,) array per model.
        labels_list: one (n,) array of whole numbers per model.
        weights: one number above 0 per model; None means 1 for all.
        iou_thr: boxes of one label that overlap by more than this are fused.
        skip_box_thr: boxes with a lower score are left out.
        conf_type: "avg", "max", "box_and_model_avg" or "absent_model_aware_avg"; see
            docs/fusion.md.
        allows_overflow: with "avg", do not cap the number of boxes at the number of models.

    Returns:
        (k, 4) boxes, (k,) scores and (k,) int64 labels, by descending score. Inputs stay as they
        are.

    Raises:
        FusionInputError: bad input; a `UserError` and a `ValueError`.
    """
    chosen = checked_choice("conf_type", conf_type, CONFIDENCE_TYPES)
    members = checked_members(boxes_list, scores_list, labels_list)
    member_weights = checked_weights(weights, len(members))
    threshold = checked_number("iou_thr", iou_thr)
    skip = checked_number("skip_box_thr", skip_box_thr)
    candidates, labels = image_candidates(members, member_weights, skip, argsort=np.argsort)
    settings = FusionSettings(confidence=chosen, allows_overflow=bool(allows_overflow))
    kernel = method_kernel(settings, member_weights, np.full(len(labels), threshold))
    clusters = run_on_image(kernel, candidates)
    order = np.argsort(clusters.scores)[::-1]
    return clusters.boxes_xyxy[order], clusters.scores[order], labels[clusters.classes[order]]
