"""Reading and checking the YAML of an experiment file; faults name the file, the key, the cure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from data_tools.ground.errors import UserError

TOP_KEYS = (
    "question",
    "extends",
    "base",
    "held",
    "seeds",
    "equal",
    "minutes",
    "unavoidable",
    "arms",
)
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


def load_with_parents(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Return the file's content on top of what it `extends`; `base` and its `set` are merged.

    Args:
        path: the YAML file.
        seen: files that led here, against circles.

    Raises:
        UserError: missing or broken file, unknown key, or a file that extends itself.
    """
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
    parent = load_with_parents(parent_path, (*seen, path))
    return {**parent, **content, "base": merged(parent.get("base"), content.get("base"))}


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


SHIPPED = Path(__file__).resolve().parent.parent / "shipped"


def merged(first: Any, second: Any) -> dict[str, Any]:
    """Return the settings of `second` on top of `first`, key by key also inside `set`."""
    first, second = dict(first or {}), dict(second or {})
    overrides = {**(first.get("set") or {}), **(second.get("set") or {})}
    return {**first, **second, **({"set": overrides} if overrides else {})}


def checked_settings(value: Any, path: Path, arm: str) -> dict[str, Any]:
    """Return the settings of an arm; `UserError` for an unknown key or a value of a wrong type."""
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


def checked_unavoidable(
    excused: Any, arms: Mapping[str, Any], path: Path
) -> dict[str, dict[str, str]]:
    """Return arm -> factor -> reason; `UserError` for an unknown arm or a missing reason."""
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


def checked_held(held: Any, path: Path) -> tuple[str, ...]:
    """Return the names of the blocks held equal; `UserError` unless they are a list of names."""
    if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
        raise UserError(
            f"`held` is {held!r}", where=path, expected="a list: held: [optimizer, schedule]"
        )
    return tuple(held)


def checked_seeds(seeds: Any, path: Path) -> tuple[int, ...]:
    """Return the seeds; `UserError` unless they are different whole numbers."""
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) != len(seeds):
        raise UserError(
            f"`seeds` is {seeds!r}", where=path, expected="a list of different whole numbers"
        )
    return tuple(seeds)


def checked_budget(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return `equal` and `minutes`; `UserError` unless they say what the arms share."""
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
