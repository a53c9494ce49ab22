"""Learning-rate schedules as pure functions of the step, so that resuming needs no state."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any


def learning_rate_factor(
    schedule: Mapping[str, Any], step: int, steps_per_epoch: int, epochs: int
) -> float:
    """Return what the recipe's learning rate is multiplied with at a 0-based global step.

    Args:
        schedule: the config's `schedule` block; `type` is `step`, `cosine` or `yolox`.
        step: optimizer steps done so far, over all epochs.
        steps_per_epoch: optimizer steps in one epoch.
        epochs: epochs of the whole run.
    """
    warmup = warmup_steps(schedule, steps_per_epoch)
    if step < warmup:
        return _warmup_factor(schedule, step, warmup)
    if schedule["type"] == "step":
        passed = bisect_right(list(schedule["milestones"]), step // steps_per_epoch)
        return float(schedule["gamma"]) ** passed
    constant_epochs = schedule.get("no_augment_epochs") or 0 if schedule["type"] == "yolox" else 0
    last = max(warmup + 1, (epochs - constant_epochs) * steps_per_epoch)
    return _cosine_factor(step - warmup, last - warmup, float(schedule["min_lr_ratio"]))


def warmup_steps(schedule: Mapping[str, Any], steps_per_epoch: int) -> int:
    """Return the number of warm-up steps: `warmup_iterations`, or `warmup_epochs` in steps."""
    by_epoch = round((schedule.get("warmup_epochs") or 0) * steps_per_epoch)
    return int(schedule.get("warmup_iterations") or by_epoch)


def _warmup_factor(schedule: Mapping[str, Any], step: int, warmup: int) -> float:
    if schedule["type"] == "yolox":
        # Quadratic in the step, Megvii YOLOX's `yolox_warm_cos_lr`.
        return ((step + 1) / warmup) ** 2
    start = float(schedule.get("warmup_start_factor") or 0.0)
    # Reaches 1 at the last warm-up step, as mmengine's LinearLR does.
    return start + (1 - start) * (step / max(warmup - 1, 1))


def _cosine_factor(done: int, total: int, floor: float) -> float:
    if done >= total:
        return floor
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done / total))
