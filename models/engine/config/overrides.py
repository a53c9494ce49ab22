"""`--set key=value`: parsed, checked against the config it changes, all faults in one report."""

from __future__ import annotations

import copy
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from data_tools.ground.errors import UserError
from models.engine.config.defaults import SETTINGS

_SETTING_OF_KEY = {setting.key: setting for setting in SETTINGS}


def parse_override(text: str) -> tuple[str, Any]:
    """Split "key=value"; the value is JSON where it parses as such, else the text itself.

    Raises:
        UserError: there is no `=` or no key.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UserError(
            f"--set {text!r} is not of the form key=value",
            expected="for example --set optimizer.lr=0.005",
        )
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value.strip()


def apply_overrides(config: Mapping[str, Any], pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the config with each dotted key set; every key must exist already.

    Raises:
        UserError: unknown keys or wrong values, all of them in one message with the valid keys.
    """
    result = copy.deepcopy(dict(config))
    faults = [fault for key, value in pairs if (fault := _set(result, key, value))]
    if faults:
        raise UserError(
            f"{len(faults)} faulty settings:\n  - " + "\n  - ".join(faults),
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


def _set(config: dict[str, Any], key: str, value: Any) -> str | None:
    """Set one key in place; return what is wrong instead, if anything is."""
    *parents, name = key.split(".")
    block: Any = config
    for parent in parents:
        block = block.get(parent) if isinstance(block, dict) else None
    if not isinstance(block, dict) or name not in block:
        return f"unknown key `{key}`" + _suggestion(key, config)
    if isinstance(block[name], dict):
        return f"`{key}` is a group of settings: set one of {', '.join(block[name])}"
    fault = _value_fault(key, block[name], value)
    if fault is None:
        block[name] = value
    return fault


def _value_fault(key: str, present: Any, value: Any) -> str | None:
    if key in _SETTING_OF_KEY:
        setting = _SETTING_OF_KEY[key]
        valid, expected = setting.is_valid(value), setting.expected
    elif key == "seed":
        valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
        expected = "a whole number from 0 to 4294967295"
    elif key == "init":
        valid, expected = isinstance(value, str) and bool(value), "none, imagenet or a file"
    elif key.startswith("augment."):
        # The augmentation block is checked as a whole, by the part that uses it.
        return None
    else:
        valid, expected = _is_like(present, value), f"a value like {json.dumps(present)}"
    return None if valid else f"`{key}` is {json.dumps(value)}, expected {expected}"


def _is_like(present: Any, value: Any) -> bool:
    if present is None or value is None:
        return True
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(present, bool) and isinstance(value, bool)
    if isinstance(present, (int, float)):
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, type(present))


def _suggestion(key: str, config: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, valid_keys(config), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""
