"""TOOD's task-aligned assignment for a whole batch at once.

mmdet assigns image by image and normalises box by box, in some 60 small operations per image and 5
per box, many of which wait for the device. Here the batch goes through in one pass of tensors
padded to the most boxes, and nothing is read back.

Source: Feng et al., TOOD, https://arxiv.org/abs/2108.07755, section 3.2; the rules where the paper
is silent (ties, priors outside boxes, constants) are those of mmdet's TaskAlignedAssigner and
TOODHead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# As in mmdet: a prior's centre lies inside a box if it is this far (pixels) from every side.
INSIDE_MARGIN = 0.01
NORMALISER_EPS = 10e-8
IOU_EPS = 1e-6


@dataclass(frozen=True)
class PaddedBoxes:
    """The true boxes of a batch in one tensor.

    Attributes:
        boxes_xyxy: (B, G, 4) pixels; zeros where an image has fewer than G boxes.
        labels: (B, G) class indices.
        present: (B, G) bool, false for padding.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    present: Tensor


@dataclass(frozen=True)
class Targets:
    """What the losses compare predictions with.

    Attributes:
        labels: (B, N) int64 class index, or the number of classes for background.
        boxes_xyxy: (B, N, 4) box of each positive, zeros elsewhere.
        metrics: (B, N) normalised alignment of each positive, 0 elsewhere.
    """

    labels: Tensor
    boxes_xyxy: Tensor
    metrics: Tensor


def pad_boxes(boxes_xyxy: Sequence[Tensor], labels: Sequence[Tensor]) -> PaddedBoxes:
    """Put the boxes of several images into one tensor; G is at least 1.

    Args:
        boxes_xyxy: (n, 4) of each image.
        labels: (n,) of each image.
    """
    most = max(1, *(len(boxes) for boxes in boxes_xyxy))
    batch = len(boxes_xyxy)
    padded = boxes_xyxy[0].new_zeros(batch, most, 4)
    padded_labels = labels[0].new_zeros(batch, most)
    present = torch.zeros(batch, most, dtype=torch.bool, device=padded.device)
    for index, (image_boxes, image_labels) in enumerate(zip(boxes_xyxy, labels, strict=True)):
        count = len(image_boxes)
        padded[index, :count] = image_boxes
        padded_labels[index, :count] = image_labels
        present[index, :count] = True
    return PaddedBoxes(padded, padded_labels, present)


@torch.no_grad()
def task_aligned_targets(
    scores: Tensor,
    boxes_xyxy: Tensor,
    prior_centres: Tensor,
    valid: Tensor,
    truth: PaddedBoxes,
    *,
    topk: int,
    alpha: float,
    beta: float,
) -> Targets:
    """Assign predictions to true boxes by how well they classify and localise them.

    Args:
        scores: (B, N, C) probabilities.
        boxes_xyxy: (B, N, 4) predicted boxes, pixels.
        prior_centres: (N, 2) x and y, pixels.
        valid: (B, N) bool, priors inside the image.
        truth: true boxes.
        topk: candidates per true box.
        alpha, beta: exponents of score and overlap.

    Returns:
        Targets of every prior.
    """
    overlaps = pairwise_iou(boxes_xyxy, truth.boxes_xyxy)
    classes = truth.labels[:, None, :].expand(-1, scores.shape[1], -1)
    alignment = scores.gather(2, classes) ** alpha * overlaps**beta
    usable = valid[:, :, None] & truth.present[:, None, :]
    alignment = alignment.masked_fill(~usable, 0)
    positive = _candidates(alignment, topk) & _inside(prior_centres, truth.boxes_xyxy)
    # A prior that several boxes want goes to the one it overlaps most.
    best_overlap, box_of_prior = overlaps.masked_fill(~positive, -1).max(dim=2)
    assigned = best_overlap >= 0
    chosen = box_of_prior[:, :, None]
    metric = alignment.gather(2, chosen).squeeze(2) * assigned
    normalised = _normalised(metric, best_overlap * assigned, box_of_prior, overlaps.shape[2])
    labels = truth.labels.gather(1, box_of_prior)
    boxes = truth.boxes_xyxy.gather(1, chosen.expand(-1, -1, 4))
    return Targets(
        labels=torch.where(assigned, labels, scores.shape[2]),
        boxes_xyxy=boxes * assigned[:, :, None],
        metrics=normalised,
    )


def pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the (B, N, G) overlaps of (B, N, 4) with (B, G, 4) boxes, corners in pixels."""
    low = torch.maximum(boxes[:, :, None, :2], others[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], others[:, None, :, 2:])
    sides = (high - low).clamp(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    union = _areas(boxes)[:, :, None] + _areas(others)[:, None, :] - intersection
    return intersection / union.clamp(min=IOU_EPS)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _candidates(alignment: Tensor, topk: int) -> Tensor:
    values, priors = alignment.topk(min(topk, alignment.shape[1]), dim=1)
    return torch.zeros_like(alignment, dtype=torch.bool).scatter(1, priors, values > 0)


def _inside(centres: Tensor, boxes: Tensor) -> Tensor:
    centres = centres[None, :, None, :]
    past_low = (centres - boxes[:, None, :, :2]).amin(dim=3)
    before_high = (boxes[:, None, :, 2:] - centres).amin(dim=3)
    return torch.minimum(past_low, before_high) > INSIDE_MARGIN


def _normalised(metric: Tensor, overlap: Tensor, box_of_prior: Tensor, boxes: int) -> Tensor:
    """Scale each box's metrics so that its best prior gets its best overlap."""
    zeros = metric.new_zeros(metric.shape[0], boxes)
    best_metric = zeros.scatter_reduce(1, box_of_prior, metric, "amax")
    best_overlap = zeros.scatter_reduce(1, box_of_prior, overlap, "amax")
    scaled = metric / (best_metric.gather(1, box_of_prior) + NORMALISER_EPS)
    return scaled * best_overlap.gather(1, box_of_prior)
