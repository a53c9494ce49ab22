"""Greedy and soft suppression of overlapping boxes."""

from __future__ import annotations

import torch
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices kept by greedy suppression, by descending score.

    Args:
        boxes: (N, 4) corners.
        scores: (N,).
        iou_threshold: boxes overlapping a better one by more than this are dropped.
        offset: 1 counts a box from 3 to 5 as 3 pixels wide, 0 as 2.
    """
    from torchvision.ops import nms as torchvision_nms

    # Moving the far corner by the offset gives the same widths, heights and overlaps.
    shift = boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes.float() + shift, scores.float(), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    detections: Tensor,
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al. 2017): lower the scores of overlapping boxes instead of dropping them.

    Args:
        boxes: (N, 4) corners.
        scores: (N,).
        detections: (N, 5) filled with the kept boxes and their new scores, best first.
        iou_threshold: overlap above which methods 0 and 1 act.
        sigma: width of the Gaussian of method 2.
        min_score: boxes that fall below it are dropped.
        method: 0 drops, 1 multiplies by 1 - IoU, 2 by exp(-IoU^2 / sigma).
        offset: as in `nms`.

    Returns:
        (K,) int64 indices of the kept boxes, in the order of `detections`.
    """
    remaining = scores.clone()
    alive = torch.ones(len(scores), dtype=torch.bool)
    kept: list[int] = []
    while alive.any():
        best = int(torch.where(alive, remaining, -torch.inf).argmax())
        if remaining[best] < min_score:
            break
        detections[len(kept), :4] = boxes[best]
        detections[len(kept), 4] = remaining[best]
        kept.append(best)
        alive[best] = False
        overlaps = _overlaps(boxes[best], boxes, offset)
        remaining *= _decay(overlaps, iou_threshold, sigma, method)
    return torch.tensor(kept, dtype=torch.int64)


def _overlaps(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    sides = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])) + offset
    intersection = sides.clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(dim=1)
    union = areas + (box[2:] - box[:2] + offset).prod() - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def _decay(overlaps: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == 2:
        return torch.exp(-(overlaps**2) / sigma)
    lowered = 1 - overlaps if method == 1 else torch.zeros_like(overlaps)
    return torch.where(overlaps >= iou_threshold, lowered, torch.ones_like(overlaps))
