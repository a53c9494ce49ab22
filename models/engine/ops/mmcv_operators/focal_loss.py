"""Sigmoid focal loss, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.engine.ops.mmcv_operators.errors import MODULE_NAME, MissingOperatorError


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fill `output` (N, C) with the focal loss of each logit (Lin et al. 2017, eq. 5).

    Args:
        logits: (N, C).
        target: (N,) class index; C or more means background.
        weight: (0,), because detectors weigh the loss outside.
        output: (N, C), written.
        gamma, alpha: the loss's two constants.
    """
    _refuse_class_weights(weight, "sigmoid_focal_loss_forward")
    positive = _is_target(logits, target)
    values = logits.float()
    probability = values.sigmoid()
    on = -alpha * (1 - probability) ** gamma * functional.logsigmoid(values)
    off = -(1 - alpha) * probability**gamma * functional.logsigmoid(-values)
    output.copy_(torch.where(positive, on, off))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fill `grad` (N, C) with the derivative of the focal loss by each logit."""
    _refuse_class_weights(weight, "sigmoid_focal_loss_backward")
    positive = _is_target(logits, target)
    values = logits.float()
    p = values.sigmoid()
    log_p, log_q = functional.logsigmoid(values), functional.logsigmoid(-values)
    on = alpha * (1 - p) ** gamma * (gamma * p * log_p - (1 - p))
    off = (1 - alpha) * p**gamma * (p - gamma * (1 - p) * log_q)
    grad.copy_(torch.where(positive, on, off))


def _is_target(logits: Tensor, target: Tensor) -> Tensor:
    classes = torch.arange(logits.shape[1], device=logits.device)
    return target[:, None] == classes[None, :]


def _refuse_class_weights(weight: Tensor, operator: str) -> None:
    if weight.numel():
        raise MissingOperatorError(f"{MODULE_NAME}.{operator}: class weights are not supplied")
