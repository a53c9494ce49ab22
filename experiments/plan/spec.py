"""Experiments as data: a YAML file with one base and arms that each state one difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_tools.ground.nested import merged
from experiments.plan.spec_file import (
    BASE_ARM,
    load_with_parents,
    refuse_faults,
    stated_differences,
)


@dataclass(frozen=True)
class Settings:
    """What one arm is trained with: options of `python -m models train`.

    Attributes:
        model: registry name of the detector.
        scale: `smoke` or `full`.
        fold: fold held out.
        epochs: number of epochs; None leaves the recipe's.
        batch: images per step; None leaves the recipe's.
        mosaic: probability of Mosaic.
        pseudo: round of pseudo-labels, or a file; 0 for none.
        init: `none`, `imagenet` or a checkpoint; None leaves the recipe's.
        overrides: configuration key -> value (`augment.flip: 0`).
    """

    model: str
    scale: str = "full"
    fold: int = 3
    epochs: int | None = None
    batch: int | None = None
    mosaic: float = 0.0
    pseudo: int | str = 0
    init: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: as in the file.
        settings: what it is trained with, the base's included.
        stated: the one difference that it states.
        unavoidable: other factor -> why it cannot be held equal; every comparison names it.
    """

    name: str
    settings: Settings
    stated: Mapping[str, Any]
    unavoidable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One experiment file.

    Attributes:
        name: stem of the file.
        question: what the experiment asks, in one sentence.
        arms: the base first, then the others in file order.
        held: blocks of the configuration that every arm takes from the base's recipe.
        seeds: every arm is trained once with each.
        equal: `epochs` or `minutes`: what the arms share.
        minutes: training time of each run when `equal` is `minutes`.
        source: the file.
    """

    name: str
    question: str
    arms: tuple[Arm, ...]
    held: tuple[str, ...]
    seeds: tuple[int, ...]
    equal: str
    minutes: float | None
    source: Path

    @property
    def base(self) -> Arm:
        """The arm that the others are compared with."""
        return self.arms[0]


def read_experiment(
    path: str | Path, *, scale: str | None = None, minutes: float | None = None
) -> Experiment:
    """Read and check an experiment file.

    Args:
        path: the YAML file.
        scale: replaces the scale of every arm; the name then says so (`mosaic-smoke`).
        minutes: trains every arm for that time instead; the name then says so (`mosaic-30min`).

    Raises:
        UserError: missing or broken file, unknown key, wrong type, or keys that do not go
            together, such as an arm that states no difference or more than one.
    """
    path = Path(path)
    content = load_with_parents(path)
    if minutes is not None:
        content = {**content, "equal": "minutes", "minutes": minutes}
    refuse_faults(content, path)
    base_settings = content["base"]
    natural_scale = base_settings.get("scale", "full")
    if scale is not None:
        base_settings = {**base_settings, "scale": scale}
    arms = [Arm(BASE_ARM, _settings(base_settings), {})]
    excused = content.get("unavoidable", {})
    arms += [
        Arm(
            name,
            _settings(merged(base_settings, stated)),
            stated_differences(stated),
            excused.get(name, {}),
        )
        for name, stated in content["arms"].items()
    ]
    renamed = [scale] if scale is not None and scale != natural_scale else []
    equal = content.get("equal", "epochs")
    parts = [path.stem, *renamed, *([f"{minutes:g}min"] if minutes else [])]
    return Experiment(
        name="-".join(parts),
        question=content.get("question", "").strip(),
        arms=tuple(arms),
        held=tuple(content.get("held", ())),
        seeds=tuple(content.get("seeds", [42])),
        equal=equal,
        minutes=None if equal == "epochs" else content["minutes"],
        source=path,
    )


def _settings(values: Mapping[str, Any]) -> Settings:
    plain = {key: value for key, value in values.items() if key != "set"}
    return Settings(**plain, overrides=dict(values.get("set") or {}))
