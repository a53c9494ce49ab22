"""What an experiment file may say, key by key, and what it says with the files it extends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from data_tools.ground.declared.checking import EXACT, checked
from data_tools.ground.declared.parsing import load_declared
from data_tools.ground.errors import UserError
from data_tools.ground.nested import merged

BASE_ARM = "base"
NETWORK_KEYS = ("model", "set neck", "set architecture.")


SHIPPED = Path(__file__).resolve().parent.parent / "shipped"

Count = Annotated[int, Ge(1)]
Number = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class SettingsBlock:
    """Keys of `base` and of each arm. The defaults are not used: what a file leaves out is open."""

    __pydantic_config__ = EXACT

    model: str = ""
    scale: Literal["smoke", "full"] = "full"
    fold: Number = 0
    epochs: Count = 1
    batch: Count = 1
    mosaic: Annotated[float, Ge(0), Le(1)] = 0.0
    pseudo: Number | str = 0
    init: str = ""
    set: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExperimentFile:
    """Keys of an experiment file; docs/experiments.md describes each."""

    __pydantic_config__ = EXACT

    question: str = ""
    extends: str = ""
    base: SettingsBlock | None = None
    held: tuple[str, ...] = ()
    seeds: Annotated[tuple[Number, ...], MinLen(1)] = (42,)
    equal: Literal["epochs", "minutes"] = "epochs"
    minutes: Annotated[float, Gt(0)] | None = None
    unavoidable: dict[str, dict[str, Annotated[str, MinLen(1)]]] = field(default_factory=dict)
    arms: dict[str, SettingsBlock] = field(default_factory=dict)


def load_with_parents(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the file's content on top of what it `extends`; `base` and its `set` are merged.

    Args:
        path: the YAML file.
        seen: files that led here, resolved, against circles.

    Raises:
        UserError: a missing or broken file, unknown keys or wrong values (all of them in one
            message), or a file that extends itself.
    """
    content = _load_yaml(path)
    if "extends" not in content:
        return content
    parent_path = path.parent / content["extends"]
    here = (*seen, path.resolve())
    if parent_path.resolve() in here:
        raise UserError("the file extends itself", where=path)
    parent = load_with_parents(parent_path, here)
    both = merged(parent.get("base") or {}, content.get("base") or {})
    return {**parent, **content, "base": both}


def _load_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        shipped = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
        raise UserError(
            "the experiment file does not exist",
            where=path,
            expected=f"a YAML file; the kit brings {', '.join(shipped)} in experiments/shipped/",
        )
    content: dict[str, Any] = load_declared(path)
    checked(
        content,
        ExperimentFile,
        where=path,
        next_step="docs/experiments.md describes the keys; those of the configuration go "
        "under `set`",
    )
    return content


def checked_unavoidable(content: Mapping[str, Any], path: Path) -> dict[str, dict[str, str]]:
    """Return arm -> factor -> reason; `UserError` for an arm that does not exist."""
    excused: dict[str, dict[str, str]] = content.get("unavoidable", {})
    for name in excused:
        if name not in content["arms"]:
            raise UserError(
                f"`unavoidable` names {name!r}, which is no arm",
                where=path,
                expected=f"one of {', '.join(content['arms'])}",
            )
    return excused


def checked_seeds(content: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """Return the seeds; `UserError` for one that stands twice."""
    seeds = content.get("seeds", [42])
    if len(set(seeds)) != len(seeds):
        raise UserError(f"`seeds` is {seeds!r}", where=path, expected="each seed once")
    return tuple(seeds)


def checked_budget(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return `equal` and `minutes`; `UserError` where the minutes to share are missing."""
    equal, minutes = content.get("equal", "epochs"), content.get("minutes")
    if equal == "minutes" and minutes is None:
        raise UserError(
            "the arms share their training time, but `minutes` is missing",
            where=path,
            expected="minutes: 30 (training time of each run)",
        )
    return {"equal": equal, "minutes": None if equal == "epochs" else minutes}
