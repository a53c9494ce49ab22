"""The table of settings that every model has: what a recipe does not state is as it stands here.

The `augment` block has its own table, `models.engine.config.augment`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Predicate

from data_tools.ground.declared.expected import Expected


@dataclass(frozen=True)
class Setting:
    """One entry of the config.

    Attributes:
        key: dotted name, as in `--set key=value`.
        default: value unless a recipe states another.
        expected: what a valid value looks like, for messages and the documentation.
        meaning: what it does, with its unit.
        values: type of a valid value, with its bounds.
    """

    key: str
    default: Any
    expected: str
    meaning: str
    values: Any

    @property
    def kind(self) -> Any:
        """The type to check a value against: its faults are told with `expected`."""
        return Annotated[self.values, Expected(self.expected)]


def _is_ascending(values: tuple[int, ...]) -> bool:
    return list(values) == sorted(set(values))


def _is_window(values: tuple[int, int]) -> bool:
    return values[0] < values[1]


COUNT = Annotated[int, Ge(1)]
COUNT_OR_ZERO = Annotated[int, Ge(0)]
ABOVE_ZERO = Annotated[float, Gt(0)]
ZERO_OR_MORE = Annotated[float, Ge(0)]
SHARE = Annotated[float, Ge(0), Le(1)]
ASCENDING = Annotated[tuple[COUNT, ...], Predicate(_is_ascending)]
WINDOW = Annotated[tuple[COUNT_OR_ZERO, COUNT_OR_ZERO], Predicate(_is_window)]

SETTINGS: tuple[Setting, ...] = (
    # The run
    Setting("image_size_wh", [1024, 1024], "two whole numbers above 0",
            "width and height that images are resized into, pixels", tuple[COUNT, COUNT]),
    Setting("window", None, "two whole numbers, the second larger, or null",
            "values of 16-bit pictures that become black and white; null: 0 and 65535",
            WINDOW | None),
    Setting("epochs", 24, "a whole number above 0", "passes over the training images", COUNT),
    Setting("batch_size", 4, "a whole number above 0",
            "images per optimizer step, over all GPUs", COUNT),
    Setting("repeat", 1, "a whole number above 0", "times each image is seen in an epoch", COUNT),
    Setting("clip_grad_norm", 35.0, "a number above 0, or null",
            "largest norm of the gradient; null does not clip", ABOVE_ZERO | None),
    Setting("precision", "fp32", "fp32, bf16 or fp16", "arithmetic of the forward pass",
            Literal["fp32", "bf16", "fp16"]),
    Setting("workers", 2, "a whole number, 0 or more", "processes that load images",
            COUNT_OR_ZERO),
    Setting("checkpoint.every_minutes", 10.0, "a number above 0",
            "minutes between checkpoints inside an epoch; each epoch ends with one", ABOVE_ZERO),
    Setting("checkpoint.every_steps", 0, "a whole number, 0 or more",
            "optimizer steps between checkpoints; 0: by time alone", COUNT_OR_ZERO),
    Setting("log.every_steps", 10, "a whole number above 0",
            "optimizer steps between lines of metrics.jsonl", COUNT),
    Setting("performance.micro_batch", 0, "a whole number, 0 or more",
            "images of one process that go through the model at once; 0: its whole batch",
            COUNT_OR_ZERO),
    Setting("performance.channels_last", False, "true or false",
            "memory layout that convolutions on tensor cores like", bool),
    Setting("performance.compile", False, "true or false",
            "torch.compile of backbone and neck", bool),
    Setting("performance.fused_optimizer", True, "true or false",
            "one kernel for the update of all weights", bool),
    # Optimizer
    Setting("optimizer.type", "SGD", "SGD or AdamW", "update rule", Literal["SGD", "AdamW"]),
    Setting("optimizer.lr", 0.01, "a number above 0", "highest learning rate", ABOVE_ZERO),
    Setting("optimizer.momentum", 0.9, "a number in [0, 1]", "momentum of SGD", SHARE),
    Setting("optimizer.nesterov", False, "true or false", "Nesterov's momentum", bool),
    Setting("optimizer.betas", [0.9, 0.999], "two numbers in [0, 1]", "averages of AdamW",
            tuple[SHARE, SHARE]),
    Setting("optimizer.weight_decay", 1e-4, "a number, 0 or more", "decay of all weights",
            ZERO_OR_MORE),
    Setting("optimizer.norm_weight_decay", None, "a number, 0 or more, or null",
            "decay of normalisation layers; null: as all weights", ZERO_OR_MORE | None),
    Setting("optimizer.bias_weight_decay", None, "a number, 0 or more, or null",
            "decay of biases; null: as all weights", ZERO_OR_MORE | None),
    # Learning rate over time
    Setting("schedule.type", "step", "step, cosine or yolox",
            "step: times gamma at each milestone; cosine: down to min_lr_ratio; "
            "yolox: cosine that ends no_augment_epochs early",
            Literal["step", "cosine", "yolox"]),
    Setting("schedule.milestones", [16, 22], "ascending whole numbers",
            "epochs done when a step comes", ASCENDING),
    Setting("schedule.gamma", 0.1, "a number above 0", "factor of a step", ABOVE_ZERO),
    Setting("schedule.min_lr_ratio", 0.05, "a number in [0, 1]",
            "last learning rate of cosine and yolox, as a share of the highest", SHARE),
    Setting("schedule.warmup_iterations", 500, "a whole number, 0 or more",
            "optimizer steps of warm-up", COUNT_OR_ZERO),
    Setting("schedule.warmup_epochs", 0, "a number, 0 or more",
            "epochs of warm-up, where warmup_iterations is 0", ZERO_OR_MORE),
    # mmdet's schedule_1x; the recipe of the original competition entry says only "linear".
    Setting("schedule.warmup_start_factor", 0.001, "a number in [0, 1]",
            "first learning rate, as a share of the highest", SHARE),
    Setting("schedule.no_augment_epochs", 0, "a whole number, 0 or more",
            "last epochs of yolox: constant learning rate, L1 loss on", COUNT_OR_ZERO),
    # Average of weights
    Setting("ema.momentum", 0.0, "a number in [0, 1]",
            "share of new weights in the average that is scored and saved; 0: no average",
            SHARE),
    Setting("ema.gamma", 2000.0, "a number, 0 or more",
            "steps over which the average starts; 0: constant momentum", ZERO_OR_MORE),
)  # fmt: skip
