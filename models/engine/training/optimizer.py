"""Optimizers from the config's `optimizer` block, with decay set per kind of parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def build_optimizer(
    model: nn.Module, options: Mapping[str, Any], *, fused: bool = True
) -> torch.optim.Optimizer:
    """Return SGD or AdamW over the trainable parameters.

    Args:
        model: detector; parameters with `requires_grad` False are left out.
        options: `type` (SGD or AdamW), `lr`, `weight_decay`, `norm_weight_decay` and
            `bias_weight_decay` (None: like all others), SGD's `momentum` and `nesterov`, AdamW's
            `betas`.
        fused: one kernel for all parameters.
    """
    groups = parameter_groups(model, options)
    rate = float(options["lr"])
    if options["type"] == "SGD":
        momentum, nesterov = options["momentum"], options["nesterov"]
        return torch.optim.SGD(groups, rate, momentum, nesterov=nesterov, fused=fused)
    first, second = options.get("betas") or (0.9, 0.999)
    return torch.optim.AdamW(groups, rate, (first, second), fused=fused)


def parameter_groups(model: nn.Module, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one group per weight decay: weights, norms and biases; order is the model's own."""
    decay_of_kind = {
        "weight": options["weight_decay"],
        "norm": _or(options.get("norm_weight_decay"), options["weight_decay"]),
        "bias": _or(options.get("bias_weight_decay"), options["weight_decay"]),
    }
    parameters: dict[float, list[nn.Parameter]] = {}
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            decay = float(decay_of_kind[_kind(module, name)])
            parameters.setdefault(decay, []).append(parameter)
    return [{"params": group, "weight_decay": decay} for decay, group in parameters.items()]


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def _kind(module: nn.Module, name: str) -> str:
    if isinstance(module, (_NormBase, nn.GroupNorm, nn.LayerNorm)):
        return "norm"
    return "bias" if name.endswith("bias") else "weight"


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
