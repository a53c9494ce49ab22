"""Experiments as data: a YAML file with one base and arms that each state one difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from data_tools.errors import UserError

TOP_KEYS = ("question", "extends", "base", "held", "seeds", "equal", "minutes", "arms")
TOP_KEYS += ("unavoidable",)
SETTING_KEYS = ("model", "scale", "fold", "epochs", "batch", "mosaic", "pseudo", "init", "set")
# `set` is a mapping of configuration keys, so it has no single type below.
SETTING_TYPES: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "scale": str,
    "fold": int,
    "epochs": int,
    "batch": int,
    "mosaic": (int, float),
    "pseudo": (int, str),
    "init": str,
    "set": dict,
}
BASE_ARM = "base"
NETWORK_KEYS = ("model", "set neck", "set architecture.")


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
        UserError: missing or broken file, unknown key, wrong type, or an arm that states no
            difference or more than one.
    """
    path = Path(path)
    content = _load_with_parents(path, ())
    if minutes is not None:
        content = {**content, "equal": "minutes", "minutes": minutes}
    base_settings = _checked_settings(content.get("base"), path, BASE_ARM)
    if "model" not in base_settings:
        raise UserError("the base names no model", where=path, expected="base: {model: tood}")
    stated_of_arm = content.get("arms")
    if not isinstance(stated_of_arm, dict) or not stated_of_arm:
        raise UserError(
            "the experiment has no arms",
            where=path,
            expected="arms: {mosaic: {mosaic: 0.5}}, each with its single difference",
        )
    natural_scale = base_settings.get("scale", "full")
    if scale is not None:
        base_settings = {**base_settings, "scale": scale}
    arms = [Arm(BASE_ARM, _settings(base_settings), {})]
    excused = _checked_unavoidable(content.get("unavoidable") or {}, stated_of_arm, path)
    arms += [
        _arm(name, stated, base_settings, excused.get(name, {}), path)
        for name, stated in stated_of_arm.items()
    ]
    renamed = scale is not None and scale != natural_scale
    parts = [path.stem, *([scale] if renamed else []), *([f"{minutes:g}min"] if minutes else [])]
    return Experiment(
        name="-".join(parts),
        question=str(content.get("question", "")).strip(),
        arms=tuple(arms),
        held=tuple(content.get("held") or ()),
        seeds=_checked_seeds(content.get("seeds", [42]), path),
        source=path,
        **_checked_budget(content, path),
    )


def _load_with_parents(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    content = _load_yaml(path)
    unknown = [key for key in content if key not in TOP_KEYS]
    if unknown:
        raise UserError(
            f"unknown key {unknown[0]!r}", where=path, expected=f"one of {', '.join(TOP_KEYS)}"
        )
    if "extends" not in content:
        return content
    parent_path = path.parent / str(content["extends"])
    if parent_path in (path, *seen):
        raise UserError("the file extends itself", where=path)
    parent = _load_with_parents(parent_path, (*seen, path))
    return {**parent, **content, "base": _merged(parent.get("base"), content.get("base"))}


def _load_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        shipped = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
        raise UserError(
            "the experiment file does not exist",
            where=path,
            expected=f"a YAML file; the kit brings {', '.join(shipped)} in experiments/",
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the file is not valid YAML ({reason})", where=path) from None
    if not isinstance(content, dict):
        raise UserError("the file is not a mapping", where=path, expected="base: ..., arms: ...")
    return content


SHIPPED = Path(__file__).resolve().parent


def _merged(first: Any, second: Any) -> dict[str, Any]:
    first, second = dict(first or {}), dict(second or {})
    overrides = {**(first.get("set") or {}), **(second.get("set") or {})}
    return {**first, **second, **({"set": overrides} if overrides else {})}


def _checked_settings(value: Any, path: Path, arm: str) -> dict[str, Any]:
    where = f"{path}, {'base' if arm == BASE_ARM else f'arm {arm!r}'}"
    if not isinstance(value, dict):
        raise UserError("this is not a mapping", where=where, expected="{model: tood, ...}")
    for key, setting in value.items():
        if key not in SETTING_KEYS:
            expected = f"one of {', '.join(SETTING_KEYS)}; keys of the configuration go under `set`"
            raise UserError(f"unknown key {key!r}", where=where, expected=expected)
        kinds = SETTING_TYPES[key]
        if not isinstance(setting, kinds) or isinstance(setting, bool):
            names = kinds if isinstance(kinds, tuple) else (kinds,)
            raise UserError(
                f"`{key}` is {setting!r}",
                where=where,
                expected=" or ".join(kind.__name__ for kind in names),
            )
    return value


def _settings(values: Mapping[str, Any]) -> Settings:
    plain = {key: value for key, value in values.items() if key != "set"}
    return Settings(**plain, overrides=dict(values.get("set") or {}))


def _checked_unavoidable(
    excused: Any, arms: Mapping[str, Any], path: Path
) -> dict[str, dict[str, str]]:
    shape = isinstance(excused, dict) and all(isinstance(v, dict) for v in excused.values())
    if not shape or not all(r for reasons in excused.values() for r in reasons.values()):
        raise UserError(
            "`unavoidable` gives no reasons",
            where=path,
            expected="unavoidable: {ARM: {FACTOR: why it cannot be held equal}}",
        )
    for name in excused:
        if name not in arms:
            raise UserError(
                f"`unavoidable` names {name!r}, which is no arm",
                where=path,
                expected=f"one of {', '.join(arms)}",
            )
    return excused


def _arm(
    name: str, stated: Any, base: Mapping[str, Any], unavoidable: Mapping[str, str], path: Path
) -> Arm:
    if name == BASE_ARM or not isinstance(name, str) or "/" in name or "-seed" in name:
        raise UserError(f"an arm cannot be called {name!r}", where=path, expected="another name")
    stated = _checked_settings(stated, path, name)
    flat = {key: value for key, value in stated.items() if key != "set"}
    flat.update({f"set {key}": value for key, value in (stated.get("set") or {}).items()})
    # A detector with another neck is still one change: that of the network.
    stated_factors = {"model" if key.startswith(NETWORK_KEYS) else key for key in flat}
    if len(stated_factors) != 1:
        raise UserError(
            f"arm {name!r} states {len(stated_factors)} differences: {', '.join(flat) or 'none'}",
            where=path,
            expected="exactly one difference from the base per arm",
            next_step="give each difference an arm of its own",
        )
    return Arm(name, _settings(_merged(base, stated)), flat, unavoidable)


def _checked_seeds(seeds: Any, path: Path) -> tuple[int, ...]:
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) != len(seeds):
        raise UserError(
            f"`seeds` is {seeds!r}", where=path, expected="a list of different whole numbers"
        )
    return tuple(seeds)


def _checked_budget(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    equal, minutes = content.get("equal", "epochs"), content.get("minutes")
    if equal not in ("epochs", "minutes"):
        raise UserError(f"`equal` is {equal!r}", where=path, expected="epochs or minutes")
    is_number = isinstance(minutes, (int, float)) and not isinstance(minutes, bool)
    if equal == "minutes" and not (is_number and minutes > 0):
        raise UserError(
            f"the arms share their training time, but `minutes` is {minutes!r}",
            where=path,
            expected="minutes: 30 (training time of each run)",
        )
    return {"equal": equal, "minutes": float(minutes) if equal == "minutes" else None}
