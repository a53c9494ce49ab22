"""Changes to a tree of lists and mappings as JSON and YAML hold it, in place and by structure."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.robustness.mutations.values import Traps, nested, odd_text, odd_value

MOST_PLACES = 400


def mutated(value: Any, rng: random.Random, traps: Traps) -> tuple[Any, str]:
    """Return a changed copy of a value and one line that says what changed.

    A place is drawn by its key first, so that the one `score` of a settings file is hit as often
    as the four numbers of a hundred boxes.
    """
    value = copy.deepcopy(value)
    places = _places(value)
    if not places or rng.random() < 0.04:
        new = odd_value(rng, traps, like=value)
        return new, f"the whole content becomes {_short(new)}"
    keys = sorted({key for _, key in map(_named, places)})
    wanted = rng.choice(keys)
    container, place = rng.choice([place for place in places if _named(place)[1] == wanted])
    return value, _change(container, place, rng, traps)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return (container, key or position) of everything below a value, widest first."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending and len(found) < MOST_PLACES:
        container = pending.pop(0)
        if isinstance(container, dict):
            children = list(container.items())
        elif isinstance(container, list):
            children = list(enumerate(container))[:12]
        else:
            continue
        found += [(container, key) for key, _ in children]
        pending += [child for _, child in children]
    return found


def _named(place: tuple[Any, Any]) -> tuple[str, str]:
    container, key = place
    return type(container).__name__, key if isinstance(key, str) else "[]"


def _change(container: Any, key: Any, rng: random.Random, traps: Traps) -> str:
    old = container[key]
    where = f"{key!r}"
    action = rng.choice(
        ("replace", "replace", "replace", "delete", "rename", "double", "wrap", "deep", "shuffle")
    )
    if action == "delete":
        del container[key]
        return f"{where} is gone"
    if action == "rename" and isinstance(container, dict):
        new = rng.choice((f"{key} ", str(key).upper(), str(key)[:-1], odd_text(rng, traps)))
        container[new] = container.pop(key)
        return f"{where} is called {_short(new)}"
    if action == "double" and isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(old))
        return f"{where} is there twice"
    if action == "wrap":
        container[key] = rng.choice(([old], {"value": old}, [[old]], str(old)))
        return f"{where} is wrapped: {_short(container[key])}"
    if action == "deep":
        container[key] = nested(rng.choice((3, 60, 900)))
        return f"{where} is a deep list"
    if action == "shuffle" and isinstance(old, list):
        rng.shuffle(old)
        return f"{where} is shuffled"
    container[key] = odd_value(rng, traps, like=old)
    return f"{where} is {_short(container[key])}, not {_short(old)}"


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
