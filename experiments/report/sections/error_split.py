"""Where the score is lost: the split of errors into kinds, per prediction file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from experiments.report.gathered.gather import ScoredPredictions
from scoring.diagnosis import ERROR_KINDS, error_split


def error_figures(scored: Sequence[ScoredPredictions], truth: CocoDataset) -> list[dict[str, Any]]:
    """Return bars of the AP50 that fixing each kind of error would win, and of their numbers."""
    all_boxes = [error_split(each.predictions, truth) for each in scored]
    # Weak boxes cost next to nothing and would be nearly all of the errors counted.
    counted = [error_split(confident_boxes(each), truth) for each in scored]
    labels = list(ERROR_KINDS.values())
    figures = []
    for key, title, axis, splits in (
        ("ap50_gain", "AP50 that fixing each kind alone would win", "AP50", all_boxes),
        ("counts", "Number of errors, boxes above each one's best-F1 score", "errors", counted),
    ):
        bars = [
            {
                "type": "bar",
                "name": each.name,
                "orientation": "h",
                "y": labels,
                "x": [round(float(split[key][kind]), 5) for kind in ERROR_KINDS],
                "colour": index,
            }
            for index, (each, split) in enumerate(zip(scored, splits, strict=True))
        ]
        layout = {
            "xaxis": {"title": {"text": axis}, "rangemode": "tozero"},
            "yaxis": {"autorange": "reversed"},
        }
        figures.append({"title": title, "data": bars, "layout": layout})
    return figures


def confident_boxes(scored: ScoredPredictions) -> Predictions:
    """Return the boxes of predictions above its best-F1 threshold; every image stays listed."""
    return scored.predictions.filtered(scored.predictions.reaches(scored.best_f1_threshold))
