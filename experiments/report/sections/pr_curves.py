"""Precision and recall over the score threshold, per prediction file and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.report.gathered.gather import ScoredPredictions
from scoring.curves import ClassCurve, class_curves

MAX_POINTS = 120
THRESHOLDS = np.arange(101) / 100


def pr_curves(scored: Sequence[ScoredPredictions]) -> list[dict[str, Any]]:
    """Return the curves of each prediction file, thinned to `MAX_POINTS` points each.

    Returns:
        One object per prediction file: `name`, and `classes`, a list of `name`, `truth` (number
        of truth boxes), the equally long lists `score` (descending), `precision` and `recall` of
        the curve, and for each of `THRESHOLDS` the exact numbers `found` and `seen`: hits and
        boxes that reach it.
    """
    return [{"name": each.name, "classes": _classes(each)} for each in scored]


def _classes(scored: ScoredPredictions) -> list[dict[str, Any]]:
    return [
        {"name": curve.name, "truth": curve.truth_count, **_points(curve), **_grid(curve)}
        for curve in class_curves(scored.matcher)
        if curve.truth_count
    ]


def _points(curve: ClassCurve) -> dict[str, list[float]]:
    kept = curve_corners(curve.found)
    return {
        "score": [round(float(v), 4) for v in curve.scores[kept]],
        "precision": [round(float(v), 4) for v in curve.precision[kept]],
        "recall": [round(float(v), 4) for v in curve.recall[kept]],
    }


def _grid(curve: ClassCurve) -> dict[str, list[int]]:
    """Hits and boxes with at least each threshold's score."""
    # Six digits, so that a float32 score of .9 reaches the threshold .9.
    rounded = np.round(curve.scores.astype(np.float64), 6)
    points = np.searchsorted(-rounded, -THRESHOLDS, side="right")
    found, seen = (np.append(0, counts)[points] for counts in (curve.found, curve.seen))
    return {"found": found.tolist(), "seen": seen.tolist()}


def curve_corners(found: np.ndarray) -> np.ndarray:
    """Positions of at most `MAX_POINTS` points: where hits come, and just before each of those.

    Between two hits recall stands still and precision falls: without the point before a hit the
    curve would cut that corner.
    """
    if len(found) <= MAX_POINTS:
        return np.arange(len(found))
    rising = np.flatnonzero(np.diff(found) > 0) + 1
    most = (MAX_POINTS - 2) // 2
    if len(rising) > most:
        rising = rising[np.linspace(0, len(rising) - 1, most).astype(int)]
    return np.unique(np.concatenate([[0], rising - 1, rising, [len(found) - 1]]))
