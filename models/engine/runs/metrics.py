"""`metrics.jsonl` read again: lines that are torn or damaged are passed over and counted."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LARGEST = 2**53  # whole numbers up to here are exact in every reader of JSON


@dataclass(frozen=True)
class MetricLine:
    """A line that can be used: its text, and what it says."""

    text: str
    record: dict[str, Any]

    @property
    def is_epoch(self) -> bool:
        """Whether it is the record of an epoch; the others are of steps."""
        return bool(self.record["kind"] == "epoch")


def metric_lines(path: Path) -> tuple[list[MetricLine], int]:
    """Return the usable lines of a metrics file in its order, and the number of damaged ones.

    A missing file has none. Lines of other kinds than steps and epochs are passed over uncounted.
    """
    lines: list[MetricLine] = []
    torn = 0
    texts = path.read_bytes().splitlines() if path.is_file() else []
    for text in (each.decode("utf-8", errors="replace") for each in texts):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            torn += 1
            continue
        if isinstance(record, dict) and record.get("kind") not in ("step", "epoch", None):
            continue
        if _is_usable(record):
            lines.append(MetricLine(text, record))
        else:
            torn += 1
    return lines, torn


def _is_usable(record: Any) -> bool:
    if not isinstance(record, dict) or record.get("kind") not in ("step", "epoch"):
        return False
    wholes = [record.get("epoch")] + ([record["step"]] if "step" in record else [])
    if not all(type(each) is int and 0 <= each < _LARGEST for each in wholes):
        return False
    if not _is_number(record.get("seconds")):
        return False
    if record["kind"] == "step":
        return True
    val = record.get("val")
    return isinstance(val, dict) and all(
        value is None or _is_number(value)
        for key, value in val.items()
        if key == "competition_map50"
    )


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) < _LARGEST and math.isfinite(value)
