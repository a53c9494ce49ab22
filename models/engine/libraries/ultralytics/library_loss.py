"""ultralytics' detection loss with weights of boxes; imported by `library_training.py` alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from ultralytics.utils.loss import v8DetectionLoss

from models.engine.libraries.ultralytics.box_weights import anchor_weights


class WeightedDetectionLoss(v8DetectionLoss):
    """The loss of YOLO11 in which a box's weight multiplies the terms of its anchors.

    These are the class, box and distribution terms. As in the other detectors, the normalizer stays
    what it is, so a box of weight .5 teaches half as much and one of weight 0 leaves its anchors
    out. Batches have `weights`, (n,), beside their boxes.

    Args:
        model: the network, with its hyperparameters in `args`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._upstream_assigner, self._upstream_bce = self.assigner, self.bce
        self._upstream_bbox_loss = self.bbox_loss
        # Upstream calls them as functions; it does not matter that they are no modules.
        self.assigner = self._assign  # type: ignore[assignment]
        self.bce = self._weighted_bce  # type: ignore[assignment]
        self.bbox_loss = self._weighted_bbox_loss  # type: ignore[assignment]

    def get_assigned_targets_and_loss(
        self, preds: dict[str, Tensor], batch: dict[str, Any], **assign_options: Any
    ) -> tuple:
        """Return what upstream's loss does, with the terms weighted."""
        self._image_of_box = batch["batch_idx"].view(-1).to(self.device)
        self._box_weights = batch["weights"].to(self.device)
        return super().get_assigned_targets_and_loss(preds, batch, **assign_options)

    def _assign(self, *arguments: Any, **options: Any) -> tuple[Tensor, ...]:
        assigned = self._upstream_assigner(*arguments, **options)
        is_positive, box_of_anchor = assigned[3], assigned[4]
        weights = anchor_weights(is_positive, box_of_anchor, self._image_of_box, self._box_weights)
        self._anchor_weights = weights[..., None]
        return assigned

    def _weighted_bce(self, pred_scores: Tensor, target_scores: Tensor) -> Tensor:
        loss = self._upstream_bce(pred_scores, target_scores)
        return loss * self._anchor_weights.to(loss.dtype)

    def _weighted_bbox_loss(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        *others: Any,
    ) -> tuple[Tensor, Tensor]:
        # The box terms are weighted with the target scores; their sum, the normalizer, comes apart.
        weighted = target_scores * self._anchor_weights.to(target_scores.dtype)
        return self._upstream_bbox_loss(
            pred_dist, pred_bboxes, anchor_points, target_bboxes, weighted, *others
        )
