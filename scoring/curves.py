"""Precision and recall of each class at every score that occurs, and the threshold of best F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.metrics.competition import CompetitionMatcher


@dataclass(frozen=True)
class ClassCurve:
    """What a class has found at each score threshold that makes a difference.

    Attributes:
        name: the class.
        truth_count: truth boxes of the class.
        scores: (K,) float32 the different scores of its boxes, descending.
        found: (K,) int64 hits scored at least that.
        seen: (K,) int64 boxes scored at least that.
    """

    name: str
    truth_count: int
    scores: np.ndarray
    found: np.ndarray
    seen: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """(K,) share of the boxes seen that are hits."""
        return self.found / self.seen

    @property
    def recall(self) -> np.ndarray:
        """(K,) share of the truth boxes that are found; empty without truth, as all else."""
        return self.found / self.truth_count if self.truth_count else self.found.astype(float)


def class_curves(matcher: CompetitionMatcher) -> list[ClassCurve]:
    """Return the curve of each class; one without truth or boxes has no points."""
    hits = matcher.true_positives()
    order, offsets = matcher.ranking()
    curves = []
    for index, name in enumerate(matcher.category_names):
        rows = order[offsets[index] : offsets[index + 1]]
        scores = matcher.scores[rows]
        # Equal scores are one point: no threshold separates them.
        ends = np.flatnonzero(np.append(np.diff(scores) != 0, True)[: len(rows)])
        found = np.cumsum(hits[rows])[ends]
        truth_count = int(matcher.truth_counts[index])
        curves.append(ClassCurve(name, truth_count, scores[ends], found, ends + 1))
    return curves


def best_thresholds(curves: Sequence[ClassCurve]) -> dict[str, dict[str, float] | None]:
    """Return for each class the score threshold with the best F1; None where nothing is found.

    Of equal F1 the highest threshold is taken. mAP50 itself wants no threshold; this one is for
    pseudo-labels and pictures.
    """
    return {curve.name: _best_threshold(curve) for curve in curves}


def _best_threshold(curve: ClassCurve) -> dict[str, float] | None:
    if not curve.found.any():
        return None
    precision, recall = curve.precision, curve.recall
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    best = int(np.argmax(f1))
    return {
        "threshold": float(curve.scores[best]),
        "f1": float(f1[best]),
        "precision": float(precision[best]),
        "recall": float(recall[best]),
    }
