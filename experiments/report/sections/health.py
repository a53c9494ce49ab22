"""Split health: are train, valid and test alike in class, box size and boxes per image?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.coco.statistics import BoxMeasures, box_measures, distances
from data_tools.predictions.measures import predicted_measures
from data_tools.predictions.table import Predictions

# Side of a square of the box's area, as a share of the image's: log-even from 1/64 to the whole.
SIZE_EDGES = np.concatenate([[0], np.geomspace(1 / 64, 1, 13)])
COUNT_EDGES = np.array([0, 1, 2, 3, 4, 5, 7, 10, 15, 25, np.inf])
COUNT_LABELS = ("0", "1", "2", "3", "4", "5-6", "7-9", "10-14", "15-24", "25+")


@dataclass(frozen=True)
class Part:
    """Boxes of one part of the data, whether annotated or predicted.

    Attributes:
        name: `train`, `valid`, `test (predicted)`.
        measures: their classes, sizes, shapes and numbers.
    """

    name: str
    measures: BoxMeasures


def annotated_part(name: str, dataset: CocoDataset) -> Part:
    """Describe the boxes of an annotated dataset."""
    return Part(name, box_measures(dataset))


def predicted_part(
    name: str, dataset: CocoDataset, predictions: Predictions, threshold: float
) -> Part | None:
    """Describe the predicted boxes above a score; None if there are none."""
    measures = predicted_measures(predictions, dataset, threshold)
    return None if measures is None else Part(name, measures)


def class_shares(part: Part) -> np.ndarray:
    """Return (C,) shares of the boxes, classes in the order of the file; zeros without boxes."""
    return np.array(list(part.measures.class_shares.values()))


def size_shares(part: Part) -> np.ndarray:
    """Return (B,) shares of the boxes by relative size."""
    return _shares(np.clip(part.measures.size, 0, 1), SIZE_EDGES)


def count_shares(part: Part) -> np.ndarray:
    """Return (B,) shares of the images by number of boxes."""
    return _shares(part.measures.count, COUNT_EDGES)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.histogram(values, bins=edges)[0].astype(float)
    return counts / max(counts.sum(), 1)


def health_section(parts: list[Part], dataset: CocoDataset) -> dict[str, Any]:
    """Return figures and distances of the parts from the first one.

    Args:
        parts: train first.
        dataset: any part; gives the classes.
    """
    views: list[tuple[str, str, list[str], Callable[[Part], np.ndarray], str]] = [
        ("class", "Share of boxes by class", list(dataset.category_names), class_shares, ""),
        ("size", "Share of boxes by size", _size_labels(), size_shares, "side, % of the image's"),
        (
            "count",
            "Share of images by number of boxes",
            list(COUNT_LABELS),
            count_shares,
            "boxes",
        ),
    ]
    first, *others = parts
    distances_of = {part.name: distances(first.measures, part.measures) for part in others}
    figures, rows = [], []
    for key, title, labels, shares_of, axis in views:
        figures.append(_figure(title, labels, parts, [shares_of(part) for part in parts], axis))
        rows += [[title, name, _three_digits(found[key])] for name, found in distances_of.items()]
    summary = [_summary(part) for part in parts]
    return {"figures": figures, "distances": rows, "summary": summary}


def _three_digits(distance: float | None) -> str:
    return "-" if distance is None else f"{distance:.3f}"


def _size_labels() -> list[str]:
    edges = [f"{100 * edge:.1f}" if edge < 0.1 else f"{100 * edge:.0f}" for edge in SIZE_EDGES]
    return [f"{low}-{high}" for low, high in pairwise(edges)]


def _summary(part: Part) -> list[str]:
    count, size = part.measures.count, part.measures.size
    return [
        part.name,
        f"{len(count)}",
        f"{len(size)}",
        f"{count.mean() if len(count) else 0.0:.2f}",
        f"{int((count == 0).sum())}",
        f"{100 * np.median(size):.1f} %" if len(size) else "-",
    ]


def _figure(
    title: str, labels: list[str], parts: list[Part], shares: list[np.ndarray], axis: str
) -> dict[str, Any]:
    return {
        "title": title,
        "data": [
            {
                "type": "bar",
                "name": part.name,
                "x": labels,
                "y": [round(float(share), 5) for share in own],
                "colour": index,
            }
            for index, (part, own) in enumerate(zip(parts, shares, strict=True))
        ],
        "layout": {
            "xaxis": {"title": {"text": axis}, "type": "category"},
            "yaxis": {"title": {"text": "share"}, "tickformat": ".0%", "rangemode": "tozero"},
        },
    }
