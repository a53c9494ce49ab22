"""Nested mappings, such as configurations: one on top of another, and their leaves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

Replaces = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


def merged(
    below: Mapping[str, Any], above: Mapping[str, Any], *, replaces: Replaces = lambda *_: False
) -> dict[str, Any]:
    """Return `below` with `above` on top; neither is changed, nothing of them is shared.

    Args:
        below: what holds where `above` says nothing.
        above: what wins. Mappings that meet under a key are merged key by key.
        replaces: given the upper and the lower of two mappings that meet, tells whether the upper
            one replaces the lower whole.
    """
    result = copy.deepcopy(dict(below))
    for key, value in above.items():
        lower = result.get(key)
        if isinstance(value, Mapping) and isinstance(lower, dict) and not replaces(value, lower):
            result[key] = merged(lower, value, replaces=replaces)
        else:
            result[key] = copy.deepcopy(value)
    return result


def flattened(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a nested mapping by dotted key; lists and empty mappings are leaves."""
    leaves: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping) and value:
            leaves |= flattened(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
