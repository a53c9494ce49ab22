"""Precision and recall over the score threshold, per source and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.report.gathered.gather import Source

MAX_POINTS = 120
THRESHOLDS = np.arange(101) / 100


def pr_curves(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Return each source's curves, thinned to `MAX_POINTS` points each.

    Returns:
        One object per source: `name`, and `classes`, a list of `name`, `truth` (number of truth
        boxes), the equally long lists `score` (falling), `precision` and `recall` of the curve, and
        for each of `THRESHOLDS` the exact numbers `found` and `seen`: hits and boxes that reach it.
    """
    return [{"name": source.name, "classes": _classes(source)} for source in sources]


def _classes(source: Source) -> list[dict[str, Any]]:
    matcher, order = source.scorer.competition, source.scorer.order
    classes = []
    for index, name in enumerate(matcher.category_names):
        truth = int(matcher.truth_counts[index])
        if not truth:
            continue
        rows = order[matcher.class_offsets[index] : matcher.class_offsets[index + 1]]
        hits, scores = source.scorer.hits[rows], matcher.scores[rows]
        classes.append(
            {"name": name, "truth": truth, **_curve(hits, scores, truth), **_grid(hits, scores)}
        )
    return classes


def _curve(hits: np.ndarray, scores: np.ndarray, truth: int) -> dict[str, list[float]]:
    """Points after each group of equal scores: a threshold cannot part those."""
    found = np.cumsum(hits)
    seen = np.arange(1, len(hits) + 1)
    is_last = np.append(np.diff(scores) != 0, True)[: len(hits)]
    ends = np.flatnonzero(is_last)
    kept = ends[_corners(found[ends])]
    return {
        "score": [round(float(v), 4) for v in scores[kept]],
        "precision": [round(float(v), 4) for v in found[kept] / seen[kept]],
        "recall": [round(float(v), 4) for v in found[kept] / truth],
    }


def _grid(hits: np.ndarray, scores: np.ndarray) -> dict[str, list[int]]:
    """Hits and boxes with at least each threshold's score; `scores` fall."""
    # Six digits, so that a float32 score of .9 reaches the threshold .9.
    rounded = np.round(scores.astype(np.float64), 6)
    seen = np.searchsorted(-rounded, -THRESHOLDS, side="right")
    found = np.concatenate([[0], np.cumsum(hits)])[seen]
    return {"found": found.tolist(), "seen": seen.tolist()}


def _corners(found: np.ndarray) -> np.ndarray:
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
