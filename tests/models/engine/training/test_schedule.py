"""Learning rates, step by step."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.training.schedule import learning_rate_factor, warmup_steps

STEP = {
    "type": "step",
    "milestones": [16, 22],
    "gamma": 0.1,
    "warmup_iterations": 500,
    "warmup_epochs": 0,
    "warmup_start_factor": 0.001,
    "no_augment_epochs": 0,
    "min_lr_ratio": 0.05,
}
YOLOX = {**STEP, "type": "yolox", "warmup_iterations": 0, "warmup_epochs": 5,
         "no_augment_epochs": 15}  # fmt: skip
COSINE = {**STEP, "type": "cosine", "warmup_iterations": 10, "min_lr_ratio": 0.01}


def test_step_recipe_of_24_epochs() -> None:
    factors = {
        step: learning_rate_factor(STEP, step, 1000, 24)
        for step in (0, 249, 499, 500, 15_999, 16_000, 21_999, 22_000, 23_999)
    }
    # Linear from .001 to 1 over the 500 steps 0..499: at 249, .001 + .999 * 249 / 499
    assert factors[0] == pytest.approx(0.001)
    assert factors[249] == pytest.approx(0.001 + 0.999 * 249 / 499)
    assert factors[499] == pytest.approx(1)
    assert factors[500] == factors[15_999] == 1
    assert factors[16_000] == factors[21_999] == pytest.approx(0.1)
    assert factors[22_000] == factors[23_999] == pytest.approx(0.01)


def test_warm_up_equals_mmengines() -> None:
    import torch
    from mmengine.optim import LinearLR

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = LinearLR(optimizer, start_factor=0.001, begin=0, end=500, by_epoch=False)
    for step in range(520):
        ours = learning_rate_factor(STEP, step, 1000, 24)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours, abs=1e-9)
        optimizer.step()
        theirs.step()


def test_yolox_recipe_of_300_epochs() -> None:
    # Quadratic for 5 epochs, cosine to .05 at epoch 285, constant for the last 15.
    def at(step: int) -> float:
        return learning_rate_factor(YOLOX, step, 100, 300)

    assert at(0) == pytest.approx((1 / 500) ** 2)
    assert at(249) == pytest.approx(0.25)
    assert at(499) == pytest.approx(1)
    assert at(500) == 1
    half = 500 + (28_500 - 500) // 2
    assert at(half) == pytest.approx(0.05 + 0.95 * 0.5)
    assert at(28_500) == at(29_999) == 0.05


def test_cosine() -> None:
    # 10 steps of warm-up, then 90 of cosine to .01
    quarter = 10 + 30
    expected = 0.01 + 0.99 * (1 + math.cos(math.pi * 30 / 90)) / 2
    assert learning_rate_factor(COSINE, quarter, 10, 10) == pytest.approx(expected)


def test_warm_up_longer_than_the_run_is_no_error() -> None:
    assert learning_rate_factor(COSINE, 3, 1, 4) == pytest.approx(0.001 + 0.999 * 3 / 9)


@pytest.mark.parametrize(("schedule", "steps"), [(STEP, 500), (YOLOX, 35), (COSINE, 10)])
def test_warm_up_length(schedule: dict, steps: int) -> None:
    assert warmup_steps(schedule, 7) == steps


@given(
    kind=st.sampled_from(["step", "cosine", "yolox"]),
    steps_per_epoch=st.integers(1, 50),
    epochs=st.integers(1, 30),
    warmup=st.integers(0, 60),
    last=st.integers(0, 5),
)
def test_always_between_zero_and_one_and_never_rising_after_warm_up(
    kind: str, steps_per_epoch: int, epochs: int, warmup: int, last: int
) -> None:
    schedule = {**STEP, "type": kind, "warmup_iterations": warmup, "no_augment_epochs": last}
    total = steps_per_epoch * epochs
    factors = [learning_rate_factor(schedule, s, steps_per_epoch, epochs) for s in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    after = factors[warmup:]
    assert all(b <= a + 1e-12 for a, b in pairwise(after))
