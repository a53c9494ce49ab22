"""Recipes are differences; this puts them on top of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_tools.ground.nested import merged


def on_top(below: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with a difference on top; neither is changed.

    A dictionary that states another `type` than the one it meets replaces it whole: the old type's
    arguments mean nothing to the new one.
    """
    return merged(below, delta, replaces=_has_another_type)


def _has_another_type(delta: Mapping[str, Any], below: Mapping[str, Any]) -> bool:
    # Optimizer and schedule name their type too, but share one set of keys.
    return (
        "type" in delta
        and "type" in below
        and _is_class(below["type"])
        and (delta["type"] != below["type"])
    )


def _is_class(name: Any) -> bool:
    return isinstance(name, str) and name not in {"SGD", "AdamW", "step", "cosine", "yolox"}
