"""The figures of a scoring call, compared with those that other programs give the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.robustness.forking import Outcome
from tests.robustness.lines import Line
from tests.robustness.oracles import Finding
from tests.robustness.reference import (
    coco_map,
    competition_map50,
    plain_predictions,
    plain_truth,
)

TOLERANCE = 1e-9
SCORE = "submit score"


def wrong_numbers(world: Path, line: Line, outcome: Outcome) -> list[Finding]:
    """Compare the figures of a scoring call with the other programs', where nothing is unclear."""
    figures = _figures(world, outcome)
    if line.command.name != SCORE or outcome.status != 0 or figures is None:
        return []
    words = line.arguments
    truth = plain_truth(world / words[words.index("--truth") + 1]) if "--truth" in words else None
    rows = None if truth is None else plain_predictions(world / words[0], truth)
    if truth is None or not rows:
        return []
    found = []
    for key, expected in (
        ("competition_map50", competition_map50(truth, rows)),
        ("map", coco_map(truth, rows)),
    ):
        given = figures.get(key)
        if (given is None) != (expected is None) or (
            given is not None and expected is not None and abs(given - expected) > TOLERANCE
        ):
            found.append(
                Finding(
                    "number", f"{key} is {given}, the reference says {expected}", f"{SCORE} {key}"
                )
            )
    return found


def _figures(world: Path, outcome: Outcome) -> dict[str, Any] | None:
    target = world / "out" / "figures.json"
    try:
        value = json.loads(target.read_text() if target.is_file() else outcome.output)
    except (ValueError, OSError):
        return None
    return value if isinstance(value, dict) else None
