"""Ids of any type to whole numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_tools.coco.checks import ID_LIMIT


@dataclass(frozen=True)
class IdMap:
    """What number stands for each id of a file; `1`, `1.0` and `"1"` are one id."""

    number_of_key: dict[Any, int]

    def of(self, raw: Any) -> Any:
        """Return the number of an id; the id itself, or None for a list, where none is known."""
        fallback = raw if isinstance(raw, (int, float, str)) else None
        return self.number_of_key.get(key_of(raw), fallback)


def key_of(raw: Any) -> Any:
    """Return a whole number where an id stands for one, its text where it is other text."""
    if isinstance(raw, str):
        text = raw.strip()
        return int(text) if _is_whole(text) else text
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    # A leading zero belongs to a name: "007" and "7" may be two images.
    return digits.isascii() and digits.isdigit() and len(digits) < 19 and str(int(text)) == text


def renumbered(raw_ids: Sequence[Any], noun: str, counts: Counter[str]) -> IdMap:
    """Return whole numbers for ids: those they stand for, else positions from 1.

    Args:
        raw_ids: as in the file, in its order; an id that stands twice keeps one number.
        noun: what they are ids of, for the count.
        counts: raised by the number of ids that were no whole numbers.
    """
    keys = list(dict.fromkeys(key_of(raw) for raw in raw_ids))
    if all(isinstance(key, int) and abs(key) < ID_LIMIT for key in keys):
        changed = sum(not isinstance(raw, int) for raw in raw_ids)
        if changed:
            counts[f"{noun} ids written as text or fractions"] += changed
        return IdMap({key: key for key in keys})
    counts[f"{noun} ids that are no numbers, numbered anew"] += len(keys)
    return IdMap({key: number for number, key in enumerate(keys, start=1) if key is not None})
