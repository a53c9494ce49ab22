"""Exponential moving average of weights, with YOLOX's annealed momentum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def ema_momentum(momentum: float, gamma: float, step: int) -> float:
    """Return how much of the new weights enters the average at 0-based update `step`.

    Large at first and annealed to `momentum`: (1 - m) exp(-(1 + step) / gamma) + m, as in
    YOLOX (Ge et al. 2021); `gamma` 0 means the constant `momentum`.
    """
    if not gamma:
        return momentum
    return (1 - momentum) * math.exp(-(1 + step) / gamma) + momentum


class WeightAverage:
    """The averaged weights of a model; buffers such as BN statistics are averaged too.

    Args:
        model: the model whose weights are followed; its current weights start the average.
        momentum: final share of new weights in each update.
        gamma: annealing constant in updates; 0 for none.
    """

    def __init__(self, model: nn.Module, momentum: float, gamma: float = 0.0) -> None:
        self.momentum = momentum
        self.gamma = gamma
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in _tensors(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights."""
        share = ema_momentum(self.momentum, self.gamma, self.updates)
        averaged, current = [], []
        for name, value in _tensors(model):
            if value.is_floating_point():
                averaged.append(self.weights[name])
                current.append(value.detach())
            else:
                self.weights[name].copy_(value)
        if averaged:
            torch._foreach_lerp_(averaged, current, share)
        self.updates += 1

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights for the time of the block, then its own back."""
        tensors = dict(_tensors(model))
        own = {name: value.detach().clone() for name, value in tensors.items()}
        _copy_into(tensors, self.weights)
        try:
            yield
        finally:
            _copy_into(tensors, own)

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"updates": self.updates, "weights": self.weights}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved average, on this average's device."""
        self.updates = state["updates"]
        for name, value in state["weights"].items():
            self.weights[name].copy_(value)


def _tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return list(model.state_dict(keep_vars=True).items())


@torch.no_grad()
def _copy_into(targets: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
    for name, target in targets.items():
        target.copy_(values[name])
