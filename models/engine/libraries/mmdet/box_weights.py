"""Weights of boxes (soft pseudo-labels) as weights of their terms in every detector's loss.

mmdet's heads know no weight of a true box. Here a head notes which true box each prior was assigned
to, and that box's weight multiplies the prior's classification, objectness and box terms. The
normalizers stay what they are, so a box of weight .5 teaches half as much and one of weight 0
leaves its priors out. Heads are changed only when some box has another weight than 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class AssignmentRecorder:
    """A sampler that remembers, per image, the positive priors and the weights of their boxes."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self.positives: list[tuple[Tensor, Tensor]] = []

    def sample(self, assign_result: Any, pred_instances: Any, gt_instances: Any) -> Any:
        """Sample as the wrapped sampler does, and remember."""
        result = self._sampler.sample(assign_result, pred_instances, gt_instances)
        weights = gt_instances.weights[result.pos_assigned_gt_inds]
        self.positives.append((result.pos_inds, weights))
        return result


class WeightedLoss(nn.Module):
    """A loss whose elements are multiplied with weights that are set before each call."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.element_weights: Tensor | None = None

    def forward(
        self, pred: Tensor, target: Any, weight: Tensor | None = None, **options: Any
    ) -> Tensor:
        """Return the loss with both weights, the caller's and the boxes'."""
        assert self.element_weights is not None  # set before each call
        own = self.element_weights.to(pred.dtype)
        weight = own if weight is None else weight * own
        return self.loss(pred, target, weight=weight, **options)


def use_box_weights(head: Any) -> None:
    """Make a head multiply each true box's terms with its `weights` entry.

    Args:
        head: TOODHead, RetinaHead, SSDHead or YOLOXHead, or a subclass.
    """
    head.sampler = AssignmentRecorder(head.sampler)
    if hasattr(head, "multi_level_conv_obj"):
        _weigh_yolox(head)
    elif hasattr(head, "alignment_assigner"):
        _weigh_targets(head, label_weights=2, box_weights=None)
        _weigh_tood_boxes(head)
    else:
        _weigh_targets(head, label_weights=1, box_weights=3)


def _weigh_targets(head: Any, *, label_weights: int, box_weights: int | None) -> None:
    """Multiply the weights among an anchor head's targets; the numbers are their positions."""
    original, recorder = head.get_targets, head.sampler

    def get_targets(*arguments: Any, **options: Any) -> tuple:
        recorder.positives.clear()
        valid_flags = _valid_flags(arguments, options)
        counts = [len(flags) for flags in valid_flags[0]]
        flat_flags = [torch.cat(list(flags)) for flags in valid_flags]
        targets = list(original(*arguments, **options))
        per_image = [
            _weights_of_priors(flags, positions, weights)
            for flags, (positions, weights) in zip(flat_flags, recorder.positives, strict=True)
        ]
        levels = torch.split(torch.stack(per_image), counts, dim=1)
        targets[label_weights] = [
            given * level for given, level in zip(targets[label_weights], levels, strict=True)
        ]
        if box_weights is not None:
            targets[box_weights] = [
                given * level[..., None]
                for given, level in zip(targets[box_weights], levels, strict=True)
            ]
        return tuple(targets)

    head.get_targets = get_targets


def _valid_flags(arguments: Sequence[Any], options: dict[str, Any]) -> list[list[Tensor]]:
    if "valid_flag_list" in options:
        return options["valid_flag_list"]
    # The flags are the first argument that is a list, per image, of boolean tensors per level.
    return next(
        value
        for value in arguments
        if isinstance(value, list)
        and isinstance(value[0], list)
        and value[0][0].dtype == torch.bool
    )


def _weights_of_priors(valid: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """Return one weight per prior: 1, but a box's weight where a prior was assigned to it."""
    of_valid = weights.new_ones(int(valid.sum()))
    of_valid[positions] = weights
    of_all = weights.new_ones(len(valid))
    of_all[valid.nonzero().squeeze(1)] = of_valid
    return of_all


def _weigh_tood_boxes(head: Any) -> None:
    """TOOD's box loss has weights of its own: multiply them with those of the labels."""
    # The batched loss of `tood_loss` knows no weights: take upstream's, image by image.
    head._is_batched = lambda: False
    original = head.loss_by_feat_single
    head.loss_bbox = WeightedLoss(head.loss_bbox)

    def loss_by_feat_single(*arguments: Any, **options: Any) -> tuple:
        labels, label_weights = arguments[3].reshape(-1), arguments[4].reshape(-1)
        positive = (labels >= 0) & (labels < head.num_classes)
        head.loss_bbox.element_weights = label_weights[positive]
        return original(*arguments, **options)

    head.loss_by_feat_single = loss_by_feat_single


def _weigh_yolox(head: Any) -> None:
    """YOLOX sums unweighted losses over all priors (objectness) and over the positive ones."""
    recorder = head.sampler
    original_targets, original_loss = head._get_targets_single, head.loss_by_feat
    for name in ("loss_obj", "loss_cls", "loss_bbox", "loss_l1"):
        setattr(head, name, WeightedLoss(getattr(head, name)))
    of_images: list[tuple[Tensor, Tensor]] = []

    def get_targets_single(priors: Tensor, *arguments: Any, **options: Any) -> tuple:
        recorder.positives.clear()
        targets = original_targets(priors, *arguments, **options)
        of_priors = priors.new_ones(len(priors))
        weights = priors.new_ones(0)
        for positions, weights in recorder.positives:  # none where the image has no boxes
            of_priors[positions] = weights
        of_images.append((of_priors, weights))
        is_last = len(of_images) == head.images_in_batch
        if is_last:
            _set_yolox_weights(head, of_images)
        return targets

    def loss_by_feat(*arguments: Any, **options: Any) -> dict:
        of_images.clear()
        head.images_in_batch = len(arguments[0][0])
        return original_loss(*arguments, **options)

    head._get_targets_single = get_targets_single
    head.loss_by_feat = loss_by_feat


def _set_yolox_weights(head: Any, of_images: list[tuple[Tensor, Tensor]]) -> None:
    objectness = torch.cat([of_priors for of_priors, _ in of_images])[:, None]
    positives = torch.cat([weights for _, weights in of_images])
    head.loss_obj.element_weights = objectness
    head.loss_cls.element_weights = positives[:, None].expand(-1, head.num_classes)
    head.loss_bbox.element_weights = positives
    head.loss_l1.element_weights = positives[:, None].expand(-1, 4)
