"""Where the score is lost: the split of errors into kinds, per source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_tools.coco import CocoDataset
from experiments.report.gather import Source
from submit.diagnosis import ERROR_KINDS, error_split


def error_figures(sources: Sequence[Source], truth: CocoDataset) -> list[dict[str, Any]]:
    """Return bars of the AP50 that mending each kind of error would win, and of their numbers."""
    splits = [error_split(source.predictions, truth) for source in sources]
    labels = [meaning for meaning in ERROR_KINDS.values()]
    figures = []
    for key, title, axis in (
        ("ap50_gain", "AP50 that mending each kind alone would win", "AP50"),
        ("counts", "Number of errors of each kind, boxes of all scores", "errors"),
    ):
        bars = [
            {
                "type": "bar",
                "name": source.name,
                "x": labels,
                "y": [round(float(split[key][kind]), 5) for kind in ERROR_KINDS],
                "colour": index,
            }
            for index, (source, split) in enumerate(zip(sources, splits, strict=True))
        ]
        layout = {"yaxis": {"title": {"text": axis}, "rangemode": "tozero"}}
        figures.append({"title": title, "data": bars, "layout": layout})
    return figures
