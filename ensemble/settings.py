"""How to fuse: one frozen object that the command line, the tuner and JSON files share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Gt, Le

from data_tools.ground.declared.checking import EXACT, OPEN, checked
from data_tools.ground.declared.parsing import load_declared
from data_tools.ground.errors import UserError
from data_tools.ground.files import write_json

Method = Literal["wbf", "nms", "soft_nms", "nmw"]
ConfidenceType = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]
Decay = Literal["linear", "gaussian"]
METHODS: tuple[Method, ...] = get_args(Method)
CONFIDENCE_TYPES: tuple[ConfidenceType, ...] = get_args(ConfidenceType)
DECAYS: tuple[Decay, ...] = get_args(Decay)
Share = Annotated[float, Ge(0), Le(1)]
Weight = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class FusionSettings:
    """Settings of one fusion; `settings_from_dict` checks them.

    Attributes:
        method: one of `METHODS`.
        iou: boxes of one class that overlap by more than this belong together.
        iou_of_class: category id -> threshold that replaces `iou` for that class.
        skip: boxes whose own score is below this are left out before fusing.
        weights: weight of each member in order; None means 1 for all.
        view_weights: view name -> weight within its member, for members with several test-time
            views; views not named have weight 1. A member's views share the member's weight.
        confidence: WBF: one of `CONFIDENCE_TYPES`.
        allows_overflow: WBF with `avg`: let clusters with more boxes than members score higher.
        decay: soft-NMS: one of `DECAYS`.
        sigma: soft-NMS: width of the gaussian decay.
        score_floor: soft-NMS: boxes that decay to this score or below are dropped.
    """

    __pydantic_config__ = EXACT

    method: Method = "wbf"
    iou: Share = 0.6
    iou_of_class: dict[int, Share] = field(default_factory=dict)
    skip: Share = 0.0
    weights: tuple[Weight, ...] | None = None
    view_weights: dict[str, Weight] = field(default_factory=dict)
    confidence: ConfidenceType = "avg"
    allows_overflow: bool = False
    decay: Decay = "gaussian"
    sigma: Weight = 0.5
    score_floor: Share = 0.001

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class FusionRequest:
    """Settings as a user gives them, before the dataset and the members are read.

    Attributes:
        settings: everything but thresholds of classes given by name.
        iou_of_class_name: class name or id -> IoU threshold.
        weights_are_of: names of the members that the weights were tuned for; empty if unknown.
    """

    settings: FusionSettings
    iou_of_class_name: dict[str, float] = field(default_factory=dict)
    weights_are_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class SettingsFile:
    """What `tune` writes; whatever else stands in the file is for people to read.

    Attributes:
        settings: the settings.
        members: names of the members that they were tuned for, in the weights' order.
    """

    __pydantic_config__ = OPEN

    settings: FusionSettings
    members: tuple[str, ...] = ()


def settings_from_dict(value: Any, *, where: str | Path | None = None) -> FusionSettings:
    """Read back `FusionSettings.as_dict`.

    Raises:
        UserError: unknown keys (the valid ones are listed) and values out of range, all at once.
    """
    return checked(value, FusionSettings, where=where)


def read_settings(path: str | Path) -> SettingsFile:
    """Read settings that `tune` wrote: a JSON object with the key `settings`, or bare settings."""
    next_step = "`python -m ensemble tune` writes such a file"
    if not Path(path).is_file():
        raise UserError("the settings file does not exist", where=path, next_step=next_step)
    value = load_declared(path)
    if isinstance(value, dict) and "settings" not in value:
        return SettingsFile(settings_from_dict(value, where=path))
    return checked(value, SettingsFile, where=path, next_step=next_step)


def write_settings(path: str | Path, settings: FusionSettings, **extra: Any) -> None:
    """Write settings under the key `settings`, with whatever else belongs to them beside it."""
    write_json(path, {"settings": json.loads(json.dumps(settings.as_dict())), **extra})
