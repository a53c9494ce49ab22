"""How to fuse: one frozen object that the command line, the tuner and JSON files share."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.ground.files import write_json

METHODS = ("wbf", "nms", "soft_nms", "nmw")
CONFIDENCE_TYPES = ("avg", "max", "box_and_model_avg", "absent_model_aware_avg")
DECAYS = ("linear", "gaussian")


@dataclass(frozen=True)
class FusionSettings:
    """Settings of one fusion; checked at construction.

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

    method: str = "wbf"
    iou: float = 0.6
    iou_of_class: dict[int, float] = field(default_factory=dict)
    skip: float = 0.0
    weights: tuple[float, ...] | None = None
    view_weights: dict[str, float] = field(default_factory=dict)
    confidence: str = "avg"
    allows_overflow: bool = False
    decay: str = "gaussian"
    sigma: float = 0.5
    score_floor: float = 0.001

    def __post_init__(self) -> None:
        _check_choice("method", self.method, METHODS)
        _check_choice("confidence", self.confidence, CONFIDENCE_TYPES)
        _check_choice("decay", self.decay, DECAYS)
        for name, value in [
            ("iou", self.iou),
            ("skip", self.skip),
            ("score_floor", self.score_floor),
        ]:
            _check_fraction(name, value)
        for class_id, value in self.iou_of_class.items():
            _check_fraction(f"iou of class {class_id}", value)
        _check_positive("sigma", self.sigma)
        for name, value in self.view_weights.items():
            _check_positive(f"weight of view {name!r}", value)
        for number, value in enumerate(self.weights or (), start=1):
            _check_positive(f"weight {number}", value)

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


def settings_from_dict(value: dict[str, Any], *, where: str | Path | None = None) -> FusionSettings:
    """Read back `FusionSettings.as_dict`.

    Raises:
        UserError: an unknown key (the valid ones are listed) or a value out of range.
    """
    known = [entry.name for entry in fields(FusionSettings)]
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise UserError(
            f"unknown fusion setting {unknown[0]!r}", where=where, expected=", ".join(known)
        )
    value = dict(value)
    try:
        if value.get("weights") is not None:
            value["weights"] = tuple(float(weight) for weight in value["weights"])
        if "iou_of_class" in value:
            pairs = dict(value["iou_of_class"]).items()
            value["iou_of_class"] = {int(key): float(number) for key, number in pairs}
        return FusionSettings(**value)
    except (TypeError, ValueError) as error:
        raise UserError(f"a fusion setting has the wrong type ({error})", where=where) from None


def read_settings(path: str | Path) -> FusionSettings:
    """Read settings that `tune` wrote: a JSON object with the key `settings`, or bare settings."""
    value = _settings_file(path)
    return settings_from_dict(value.get("settings", value), where=path)


def members_of_settings(path: str | Path) -> tuple[str, ...]:
    """Return the names of the members that a settings file was tuned for, in the weights' order."""
    return tuple(_settings_file(path).get("members", ()))


def _settings_file(path: str | Path) -> dict[str, Any]:
    from data_tools.coco.dataset import load_json

    if not Path(path).is_file():
        raise UserError(
            "the settings file does not exist",
            where=path,
            expected="a JSON file that `python -m ensemble tune` wrote",
        )
    value = load_json(Path(path))
    if not isinstance(value, dict) or not isinstance(value.get("settings", {}), dict):
        raise UserError("fusion settings are not an object", where=path, expected="{method: ...}")
    return value


def write_settings(path: str | Path, settings: FusionSettings, **extra: Any) -> None:
    """Write settings under the key `settings`, with whatever else belongs to them beside it."""
    write_json(path, {"settings": json.loads(json.dumps(settings.as_dict())), **extra})


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"unknown {name} {value!r}", expected=f"one of {', '.join(choices)}")


def _check_fraction(name: str, value: float) -> None:
    if not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise UserError(f"{name} is {value!r}", expected="a number from 0 to 1")


def _check_positive(name: str, value: float) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise UserError(f"{name} is {value!r}", expected="a number above 0")
