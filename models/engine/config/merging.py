"""Recipes are differences; this puts them on top of each other."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def merged(base: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `delta` on top; neither is changed.

    Nested dictionaries are merged key by key. A dictionary that states another `type` than the
    one it meets replaces it whole: the old type's arguments mean nothing to the new one.
    """
    result = copy.deepcopy(dict(base))
    for key, value in delta.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, dict) and not _replaces(value, below):
            result[key] = merged(below, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _replaces(delta: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    # Optimizer and schedule name their type too, but share one set of keys.
    return (
        "type" in delta
        and "type" in base
        and _is_class(base["type"])
        and (delta["type"] != base["type"])
    )


def _is_class(name: Any) -> bool:
    return isinstance(name, str) and name not in {"SGD", "AdamW", "step", "cosine", "yolox"}
