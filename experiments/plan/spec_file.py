"""What an experiment file may say, key by key, and what it says with the files it extends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from data_tools.ground.declared.checking import EXACT, checked
from data_tools.ground.declared.parsing import load_declared
from data_tools.ground.declared.wording import Fault, message_of
from data_tools.ground.errors import UserError
from data_tools.ground.nested import merged
from data_tools.ground.run_names import checked_name

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


def refuse_faults(content: Mapping[str, Any], path: Path) -> None:
    """Refuse keys that are each right but do not go together.

    Raises:
        UserError: all faults in one message: no model, no arms, arms with a wrong name or not
            exactly one difference, reasons for no arm, a seed twice, no minutes to share.
    """
    faults = [*_arm_faults(content), *_other_faults(content)]
    if faults:
        raise UserError(
            message_of([Fault((), text) for text in faults]),
            where=path,
            next_step="docs/experiments.md describes the keys",
        )


def stated_differences(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an arm states, the keys of its `set` as `set KEY`."""
    flat = {key: value for key, value in stated.items() if key != "set"}
    return flat | {f"set {key}": value for key, value in (stated.get("set") or {}).items()}


def _arm_faults(content: Mapping[str, Any]) -> Iterator[str]:
    arms = content.get("arms")
    if not arms:
        yield "the experiment has no arms, expected arms: {mosaic: {mosaic: 0.5}}"
        return
    for name, stated in arms.items():
        if name == BASE_ARM or "-seed" in name:
            yield f"an arm cannot be called {name!r}"
        else:
            try:
                checked_name(name, what="the arm")
            except UserError as error:
                yield f"{error.what}, expected {error.expected}"
        flat = stated_differences(stated)
        # A detector with another neck is still one change: that of the network.
        factors = {"model" if key.startswith(NETWORK_KEYS) else key for key in flat}
        if len(factors) != 1:
            yield (
                f"arm {name!r} states {len(factors)} differences: {', '.join(flat) or 'none'}, "
                "expected exactly one difference from the base; give each an arm of its own"
            )
    for name in content.get("unavoidable", {}):
        if name not in arms:
            known = ", ".join(arms)
            yield f"`unavoidable` names {name!r}, which is no arm, expected one of {known}"


def _other_faults(content: Mapping[str, Any]) -> Iterator[str]:
    if "model" not in (content.get("base") or {}):
        yield "the base names no model, expected base: {model: tood}"
    seeds = content.get("seeds", [])
    if len(set(seeds)) != len(seeds):
        yield f"`seeds` is {seeds!r}, expected each seed once"
    if content.get("equal") == "minutes" and content.get("minutes") is None:
        yield "the arms share their training time, but `minutes` is missing (of each run)"
