"""`--set key=value`: parsed, checked against the config it changes, all faults in one report."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Lt, MinLen

from data_tools.ground.declared.checking import faults_in
from data_tools.ground.declared.expected import Expected
from data_tools.ground.declared.parsing import TYPED, NoJson, Refusal, parse_json
from data_tools.ground.declared.wording import Fault, did_you_mean, message_of, shortened
from data_tools.ground.errors import UserError
from models.engine.config.augment import AUGMENT_KINDS
from models.engine.config.defaults import SETTINGS

_KINDS: dict[str, Any] = {
    **{setting.key: setting.kind for setting in SETTINGS},
    **{f"augment.{key}": kind for key, kind in AUGMENT_KINDS.items()},
    "seed": Annotated[int, Ge(0), Lt(2**32), Expected("a whole number from 0 to 4294967295")],
    "init": Annotated[str, MinLen(1), Expected("none, imagenet or a file")],
}


def parse_override(text: str) -> tuple[str, Any]:
    """Split "key=value"; the value is JSON where it parses as such, else the text itself.

    Raises:
        UserError: there is no `=` or no key, or the value is JSON beyond the limits of what a
            person types.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UserError(
            f"--set {shortened(repr(text))} is not of the form key=value",
            expected="for example --set optimizer.lr=0.005",
        )
    try:
        return key.strip(), parse_json(value, TYPED)
    except NoJson:
        return key.strip(), value.strip()
    except Refusal as error:
        raise UserError(
            f"the value of `{shortened(key.strip())}` cannot be taken: {error}", where="--set"
        ) from None


def apply_overrides(config: Mapping[str, Any], pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the config with each dotted key set; every key must exist already.

    Raises:
        UserError: unknown keys or wrong values, all of them in one message with the valid keys.
    """
    result = copy.deepcopy(dict(config))
    faults = [fault for key, value in pairs for fault in _set(result, key, value)]
    if faults:
        raise UserError(
            message_of(faults),
            where="--set",
            expected=f"keys of the config: {', '.join(valid_keys(config))}; "
            "and any key under `architecture`",
            next_step="docs/models.md lists the settings with their meaning",
        )
    return result


def valid_keys(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys of all values outside `architecture`, in the order of the config."""
    keys = []
    for name, value in config.items():
        if not prefix and name == "architecture":
            continue
        if isinstance(value, Mapping):
            keys += valid_keys(value, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def _set(config: dict[str, Any], key: str, value: Any) -> list[Fault]:
    """Set one key in place; return what is wrong instead, if anything is."""
    *parents, name = key.split(".")
    block: Any = config
    for parent in parents:
        block = block.get(parent) if isinstance(block, dict) else None
    if not isinstance(block, dict) or name not in block:
        meant = did_you_mean(key, valid_keys(config))
        return [Fault((key,), f"unknown key `{shortened(key)}`{meant}", is_unknown=True)]
    if isinstance(block[name], dict):
        keys = ", ".join(block[name])
        return [Fault((key,), f"`{key}` is a group of settings: set one of {keys}")]
    faults = faults_in(value, _KINDS.get(key) or _kind_like(block[name]), key=key)
    if not faults:
        block[name] = value
    return faults


def _kind_like(present: Any) -> Any:
    """Return the type of a value of the architecture, whose keys no table lists."""
    if present is None:
        return Any
    kinds = {bool: bool, int: float, float: float, str: str, list: list[Any]}
    expected = Expected(f"a value like {json.dumps(present)}")
    return Annotated[kinds[type(present)] | None, expected]
