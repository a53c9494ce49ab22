"""The moving average of weights, with the arithmetic spelled out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.engine.training.ema import WeightAverage, ema_momentum


def model_with(weight: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        model[0].weight.fill_(weight)
    return model


def test_momentum_is_annealed() -> None:
    # (1 - 0.1) * exp(-1 / 10) + 0.1 at the first update, towards 0.1 later.
    assert ema_momentum(0.1, 10, 0) == pytest.approx(0.9 * math.exp(-0.1) + 0.1)
    assert ema_momentum(0.1, 10, 1000) == pytest.approx(0.1)
    assert ema_momentum(0.1, 0, 0) == 0.1


def test_two_updates() -> None:
    model = model_with(1.0)
    average = WeightAverage(model, momentum=0.25)
    with torch.no_grad():
        model[0].weight.fill_(3.0)
    average.update(model)
    # 1 + 0.25 * (3 - 1) = 1.5, then 1.5 + 0.25 * (3 - 1.5) = 1.875
    assert average.weights["0.weight"].item() == pytest.approx(1.5)
    average.update(model)
    assert average.weights["0.weight"].item() == pytest.approx(1.875)
    assert average.updates == 2


def test_whole_numbers_are_copied_not_averaged() -> None:
    model = model_with(1.0)
    average = WeightAverage(model, momentum=0.25)
    model.train()
    model(torch.randn(4, 1))
    average.update(model)
    assert average.weights["1.num_batches_tracked"].item() == 1


def test_applied_for_the_block_only() -> None:
    model = model_with(1.0)
    average = WeightAverage(model, momentum=0.5)
    with torch.no_grad():
        model[0].weight.fill_(2.0)
    average.update(model)
    with pytest.raises(ZeroDivisionError), average.applied_to(model):
        assert model[0].weight.item() == 1.5
        raise ZeroDivisionError
    assert model[0].weight.item() == 2.0
    assert model[0].weight.requires_grad


def test_same_as_mmdets_average() -> None:

    from models.engine.libraries.mmdet.library import MODELS

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ours = WeightAverage(model, momentum=0.01, gamma=5.0)
    theirs = MODELS.get("ExpMomentumEMA")(model, momentum=0.01, gamma=5, update_buffers=True)
    theirs.update_parameters(model)  # its first call only copies
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(8):
        model(torch.randn(6, 3)).square().sum().backward()
        optimizer.step()
        ours.updates = step + 1  # theirs counted the copy as an update
        ours.update(model)
        theirs.update_parameters(model)
    for name, value in theirs.module.state_dict().items():
        if not value.is_floating_point():
            continue  # theirs rounds the averaged counter of batches down to 0
        torch.testing.assert_close(ours.weights[name], value)


def test_state_comes_back() -> None:
    model = model_with(1.0)
    first = WeightAverage(model, momentum=0.5)
    with torch.no_grad():
        model[0].weight.fill_(2.0)
    first.update(model)
    second = WeightAverage(model, momentum=0.5)
    second.load_state_dict(first.state_dict())
    assert second.updates == 1
    assert second.weights["0.weight"].item() == 1.5
    second.update(model)
    assert first.weights["0.weight"].item() == 1.5  # a copy, not the same tensor
