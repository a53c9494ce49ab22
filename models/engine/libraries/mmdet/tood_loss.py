"""TOOD's loss over all levels and images at once, in float32 also under autocast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.engine.libraries.mmdet.library import MessageHub, reduce_mean
from models.engine.libraries.mmdet.task_alignment import (
    PaddedBoxes,
    pad_boxes,
    task_aligned_targets,
)


class BatchedTaskAlignment:
    """Mixed into mmdet's TOODHead, in front of it; replaces its loss past the first epochs.

    Two things differ from upstream. All levels and images go through in one pass (see
    `task_alignment`), and the loss leaves autocast: its `binary_cross_entropy` of probabilities is
    refused by CUDA's autocast, so upstream's TOOD cannot train with AMP on a GPU.

    The first epochs (`initial_epoch`) keep upstream's assigner and loss.
    """

    _priors: tuple[Any, tuple[Tensor, Tensor, Tensor]] | None = None
    # Of the head that this is mixed into.
    train_cfg: Any
    initial_epoch: int
    num_base_priors: int
    num_classes: int
    alpha: float
    beta: float
    alignment_assigner: Any
    prior_generator: Any
    loss_cls: Any
    loss_bbox: Any
    get_anchors: Any
    anchor_center: Any

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_gt_instances: Sequence[Any],
        batch_img_metas: Sequence[dict[str, Any]],
        batch_gt_instances_ignore: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Return `loss_cls` and `loss_bbox` of a batch.

        Args:
            cls_scores: (B, C, H, W) probabilities of each level.
            bbox_preds: (B, 4, H, W) corners of each level, in units of its stride.
            batch_gt_instances: `bboxes` and `labels` of each image.
            batch_img_metas: `pad_shape` of each image.
            batch_gt_instances_ignore: as upstream; one-stage heads do not use it here.
        """
        device_type = cls_scores[0].device.type
        cls_scores = [scores.float() for scores in cls_scores]
        bbox_preds = [boxes.float() for boxes in bbox_preds]
        self.epoch = MessageHub.get_current_instance().get_info("epoch")
        with torch.autocast(device_type, enabled=False):
            if not self._is_batched():
                return super().loss_by_feat(  # type: ignore[misc]  # the head's
                    cls_scores,
                    bbox_preds,
                    batch_gt_instances,
                    batch_img_metas,
                    batch_gt_instances_ignore,
                )
            truth = pad_boxes(
                [instances.bboxes for instances in batch_gt_instances],
                [instances.labels for instances in batch_gt_instances],
            )
            return self._batched_loss(cls_scores, bbox_preds, truth, batch_img_metas)

    def _is_batched(self) -> bool:
        options = self.train_cfg
        usual = options["allowed_border"] < 0 and options["pos_weight"] <= 0
        return self.epoch >= self.initial_epoch and usual and self.num_base_priors == 1

    def _batched_loss(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        truth: PaddedBoxes,
        metas: Sequence[dict[str, Any]],
    ) -> dict[str, Tensor]:
        scores, boxes = _flat(cls_scores), _flat(bbox_preds)
        centres, strides, valid = self._cached_priors(cls_scores, metas)
        targets = task_aligned_targets(
            scores.detach(),
            boxes.detach() * strides,
            centres,
            valid,
            truth,
            topk=self.alignment_assigner.topk,
            alpha=self.alpha,
            beta=self.beta,
        )
        labels, metrics = targets.labels.reshape(-1), targets.metrics.reshape(-1)
        loss_cls = self.loss_cls(
            scores.reshape(-1, scores.shape[2]),
            (labels, metrics),
            valid.reshape(-1).to(scores.dtype),
            avg_factor=1.0,
        )
        loss_bbox = self._box_loss(boxes, targets.boxes_xyxy / strides, labels, metrics)
        total = reduce_mean(metrics.sum()).clamp(min=1)
        return {"loss_cls": loss_cls / total, "loss_bbox": loss_bbox / total}

    def _box_loss(self, boxes: Tensor, wanted: Tensor, labels: Tensor, metrics: Tensor) -> Tensor:
        positive = (labels < self.num_classes).nonzero().squeeze(1)
        if len(positive) == 0:
            return boxes.sum() * 0
        return self.loss_bbox(
            boxes.reshape(-1, 4)[positive],
            wanted.reshape(-1, 4)[positive],
            weight=metrics[positive],
            avg_factor=1.0,
        )

    def _cached_priors(
        self, cls_scores: Sequence[Tensor], metas: Sequence[dict[str, Any]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres (N, 2), strides (N, 1) and valid flags (B, N); kept from step to step."""
        sizes = [tuple(scores.shape[2:]) for scores in cls_scores]
        device = cls_scores[0].device
        key = (tuple(sizes), tuple(tuple(meta["pad_shape"][:2]) for meta in metas), device)
        if self._priors is None or self._priors[0] != key:
            anchors, flags = self.get_anchors(sizes, metas, device=device)
            strides = [
                level.new_full((len(level), 1), stride[0])
                for level, stride in zip(anchors[0], self.prior_generator.strides, strict=True)
            ]
            centres = self.anchor_center(torch.cat(anchors[0]))
            valid = torch.stack([torch.cat(list(image)) for image in flags]).bool()
            self._priors = (key, (centres, torch.cat(strides), valid))
        return self._priors[1]


def _flat(levels: Sequence[Tensor]) -> Tensor:
    """Return (B, N, K) from (B, K, H, W) of each level."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
