"""Where the score is lost: the split of errors into kinds, per source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from experiments.report.gathered.gather import Source
from scoring.diagnosis import ERROR_KINDS, error_split


def error_figures(sources: Sequence[Source], truth: CocoDataset) -> list[dict[str, Any]]:
    """Return bars of the AP50 that fixing each kind of error would win, and of their numbers."""
    all_boxes = [error_split(source.predictions, truth) for source in sources]
    # Weak boxes cost next to nothing and would be nearly all of the errors counted.
    counted = [error_split(confident_boxes(source), truth) for source in sources]
    labels = list(ERROR_KINDS.values())
    figures = []
    for key, title, axis, splits in (
        ("ap50_gain", "AP50 that fixing each kind alone would win", "AP50", all_boxes),
        ("counts", "Number of errors, boxes above each one's best-F1 score", "errors", counted),
    ):
        bars = [
            {
                "type": "bar",
                "name": source.name,
                "orientation": "h",
                "y": labels,
                "x": [round(float(split[key][kind]), 5) for kind in ERROR_KINDS],
                "colour": index,
            }
            for index, (source, split) in enumerate(zip(sources, splits, strict=True))
        ]
        layout = {
            "xaxis": {"title": {"text": axis}, "rangemode": "tozero"},
            "yaxis": {"autorange": "reversed"},
        }
        figures.append({"title": title, "data": bars, "layout": layout})
    return figures


def confident_boxes(source: Source) -> Predictions:
    """Return the boxes of a source above its best-F1 threshold; every image stays listed."""
    return source.predictions.filtered(source.predictions.reaches(source.best_f1_threshold))
