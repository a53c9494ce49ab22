"""The table of settings that every model has: what a recipe does not state is as it stands here.

The `augment` block has its own table, `models.engine.config.augment`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One entry of the config.

    Attributes:
        key: dotted name, as in `--set key=value`.
        default: value unless a recipe states another.
        expected: what a valid value looks like, for messages and the documentation.
        meaning: what it does, with its unit.
        is_valid: check of a value.
    """

    key: str
    default: Any
    expected: str
    meaning: str
    is_valid: Callable[[Any], bool]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _at_least(lowest: float, *, whole: bool = False) -> Callable[[Any], bool]:
    is_right_kind = _is_int if whole else _is_number
    return lambda value: is_right_kind(value) and value >= lowest


def _above_zero(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _one_of(*choices: str) -> Callable[[Any], bool]:
    return lambda value: value in choices


def _or_null(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_valid(value)


def _pair(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == 2 and all(map(is_valid, value))


def _is_window(value: Any) -> bool:
    return _pair(_at_least(0, whole=True))(value) and value[0] < value[1]


def _is_ascending_list(value: Any) -> bool:
    if not isinstance(value, list) or not all(_at_least(1, whole=True)(each) for each in value):
        return False
    return value == sorted(set(value))


COUNT = _at_least(1, whole=True)
COUNT_OR_ZERO = _at_least(0, whole=True)

SETTINGS: tuple[Setting, ...] = (
    # The run
    Setting("image_size_wh", [1024, 1024], "two whole numbers above 0",
            "width and height that images are resized into, pixels", _pair(COUNT)),
    Setting("window", None, "two whole numbers, the second larger, or null",
            "values of 16-bit pictures that become black and white; null: 0 and 65535",
            _or_null(_is_window)),
    Setting("epochs", 24, "a whole number above 0", "passes over the training images", COUNT),
    Setting("batch_size", 4, "a whole number above 0",
            "images per optimizer step, over all GPUs", COUNT),
    Setting("repeat", 1, "a whole number above 0", "times each image is seen in an epoch", COUNT),
    Setting("clip_grad_norm", 35.0, "a number above 0, or null",
            "largest norm of the gradient; null does not clip", _or_null(_above_zero)),
    Setting("precision", "fp32", "fp32, bf16 or fp16", "arithmetic of the forward pass",
            _one_of("fp32", "bf16", "fp16")),
    Setting("workers", 2, "a whole number, 0 or more", "processes that load images",
            COUNT_OR_ZERO),
    Setting("checkpoint.every_minutes", 10.0, "a number above 0",
            "minutes between checkpoints inside an epoch; each epoch ends with one", _above_zero),
    Setting("checkpoint.every_steps", 0, "a whole number, 0 or more",
            "optimizer steps between checkpoints; 0: by time alone", COUNT_OR_ZERO),
    Setting("log.every_steps", 10, "a whole number above 0",
            "optimizer steps between lines of metrics.jsonl", COUNT),
    Setting("performance.micro_batch", 0, "a whole number, 0 or more",
            "images of one process that go through the model at once; 0: its whole batch",
            COUNT_OR_ZERO),
    Setting("performance.channels_last", False, "true or false",
            "memory layout that convolutions on tensor cores like", _is_bool),
    Setting("performance.compile", False, "true or false",
            "torch.compile of backbone and neck", _is_bool),
    Setting("performance.fused_optimizer", True, "true or false",
            "one kernel for the update of all weights", _is_bool),
    # Optimizer
    Setting("optimizer.type", "SGD", "SGD or AdamW", "update rule", _one_of("SGD", "AdamW")),
    Setting("optimizer.lr", 0.01, "a number above 0", "highest learning rate", _above_zero),
    Setting("optimizer.momentum", 0.9, "a number in [0, 1]", "momentum of SGD", _is_share),
    Setting("optimizer.nesterov", False, "true or false", "Nesterov's momentum", _is_bool),
    Setting("optimizer.betas", [0.9, 0.999], "two numbers in [0, 1]", "averages of AdamW",
            _pair(_is_share)),
    Setting("optimizer.weight_decay", 1e-4, "a number, 0 or more", "decay of all weights",
            _at_least(0)),
    Setting("optimizer.norm_weight_decay", None, "a number, 0 or more, or null",
            "decay of normalisation layers; null: as all weights", _or_null(_at_least(0))),
    Setting("optimizer.bias_weight_decay", None, "a number, 0 or more, or null",
            "decay of biases; null: as all weights", _or_null(_at_least(0))),
    # Learning rate over time
    Setting("schedule.type", "step", "step, cosine or yolox",
            "step: times gamma at each milestone; cosine: down to min_lr_ratio; "
            "yolox: cosine that ends no_augment_epochs early",
            _one_of("step", "cosine", "yolox")),
    Setting("schedule.milestones", [16, 22], "ascending whole numbers",
            "epochs done when a step comes", _is_ascending_list),
    Setting("schedule.gamma", 0.1, "a number above 0", "factor of a step", _above_zero),
    Setting("schedule.min_lr_ratio", 0.05, "a number in [0, 1]",
            "last learning rate of cosine and yolox, as a share of the highest", _is_share),
    Setting("schedule.warmup_iterations", 500, "a whole number, 0 or more",
            "optimizer steps of warm-up", COUNT_OR_ZERO),
    Setting("schedule.warmup_epochs", 0, "a number, 0 or more",
            "epochs of warm-up, where warmup_iterations is 0", _at_least(0)),
    # mmdet's schedule_1x; the recipe of the original competition entry says only "linear".
    Setting("schedule.warmup_start_factor", 0.001, "a number in [0, 1]",
            "first learning rate, as a share of the highest", _is_share),
    Setting("schedule.no_augment_epochs", 0, "a whole number, 0 or more",
            "last epochs of yolox: constant learning rate, L1 loss on", COUNT_OR_ZERO),
    # Average of weights
    Setting("ema.momentum", 0.0, "a number in [0, 1]",
            "share of new weights in the average that is scored and saved; 0: no average",
            _is_share),
    Setting("ema.gamma", 2000.0, "a number, 0 or more",
            "steps over which the average starts; 0: constant momentum", _at_least(0)),
)  # fmt: skip
