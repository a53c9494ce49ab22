"""Non-maximum weighted fusion for one image, a drop-in for the reference package's function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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


def non_maximum_weighted(
    boxes_list: Sequence[Any],
    scores_list: Sequence[Any],
    labels_list: Sequence[Any],
    weights: Sequence[float] | None = None,
    iou_thr: float = 0.55,
    skip_box_thr: float = 0.0,
) -> Fused:
    """Fuse one image's boxes by score times overlap with the best box (Zhou et al., CAD, 2017).

    Boxes, scores and order are those of `ensemble_boxes.non_maximum_weighted` 1.0.9. It differs
    where that function goes wrong: see
    `ensemble.one_image.wbf.weighted_boxes_fusion`. Matching boxes of score 0 are averaged by their
    overlap alone.

    Args:
        boxes_list, scores_list, labels_list, weights, skip_box_thr: as for WBF. Scores are
            multiplied by the weight over the largest weight.
        iou_thr: a box joins the best box that it overlaps most, if by more than this.

    Returns:
        (k, 4) boxes, (k,) scores and (k,) int64 labels, by descending score.

    Raises:
        FusionInputError: bad input.
    """
    members = checked_members(boxes_list, scores_list, labels_list)
    member_weights = checked_weights(weights, len(members))
    threshold = checked_number("iou_thr", iou_thr)
    skip = checked_number("skip_box_thr", skip_box_thr)
    scales = member_weights / member_weights.max(initial=1e-300)
    candidates, labels = image_candidates(members, scales, skip, argsort=np.argsort)
    kernel = method_kernel(
        FusionSettings(method="nmw"), member_weights, np.full(len(labels), threshold)
    )
    clusters = run_on_image(kernel, candidates)
    # The reference sorts scores in single precision; the same sort gives ties the same order.
    order = np.argsort(clusters.scores.astype(np.float32))[::-1]
    return clusters.boxes_xyxy[order], clusters.scores[order], labels[clusters.classes[order]]
