"""Split health: are train, valid and test alike in class, box size and boxes per image?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import box_areas
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
        image_count: number of images.
        labels: (N,) category ids.
        relative_sizes: (N,) square root of box area over image area.
        boxes_per_image: (I,) counts.
    """

    name: str
    image_count: int
    labels: np.ndarray
    relative_sizes: np.ndarray
    boxes_per_image: np.ndarray


def annotated_part(name: str, dataset: CocoDataset) -> Part:
    """Describe the boxes of an annotated dataset."""
    return _part(name, dataset, dataset.annotation_image_ids, dataset.labels, dataset.boxes_xyxy)


def predicted_part(
    name: str, dataset: CocoDataset, predictions: Predictions, threshold: float
) -> Part:
    """Describe the predicted boxes above a score, in place of annotations that nobody has."""
    kept = predictions.filtered(predictions.scores >= threshold)
    return _part(name, dataset, kept.image_id_of_row, kept.labels, kept.boxes_xyxy)


def _part(
    name: str, dataset: CocoDataset, image_ids: np.ndarray, labels: np.ndarray, boxes: np.ndarray
) -> Part:
    index = np.array([dataset.index_of_image_id[int(i)] for i in image_ids], dtype=int)
    image_areas = dataset.sizes_wh.prod(axis=1)[index] if len(index) else np.zeros(0)
    relative = np.sqrt(box_areas(boxes) / np.maximum(image_areas, 1))
    counts = np.bincount(index, minlength=len(dataset.images))
    return Part(name, len(dataset.images), labels, relative, counts)


def class_shares(part: Part, category_ids: np.ndarray) -> np.ndarray:
    """Return (C,) shares of the boxes; zeros without boxes."""
    counts = np.array([(part.labels == category).sum() for category in category_ids], dtype=float)
    return counts / max(counts.sum(), 1)


def size_shares(part: Part) -> np.ndarray:
    """Return (B,) shares of the boxes by relative size."""
    return _shares(np.clip(part.relative_sizes, 0, 1), SIZE_EDGES)


def count_shares(part: Part) -> np.ndarray:
    """Return (B,) shares of the images by number of boxes."""
    return _shares(part.boxes_per_image, COUNT_EDGES)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.histogram(values, bins=edges)[0].astype(float)
    return counts / max(counts.sum(), 1)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the total variation distance of two distributions: 0 the same, 1 nothing shared."""
    return float(np.abs(first - second).sum() / 2)


def health_section(parts: list[Part], dataset: CocoDataset) -> dict[str, Any]:
    """Return figures and distances of the parts from the first one.

    Args:
        parts: train first.
        dataset: any part; gives the classes.
    """
    views: list[tuple[str, list[str], Callable[[Part], np.ndarray], str]] = [
        (
            "Share of boxes by class",
            list(dataset.category_names),
            lambda part: class_shares(part, dataset.category_ids),
            "",
        ),
        ("Share of boxes by size", _size_labels(), size_shares, "side, % of the image's"),
        ("Share of images by number of boxes", list(COUNT_LABELS), count_shares, "boxes"),
    ]
    figures, rows = [], []
    for title, labels, shares_of, axis in views:
        shares = [shares_of(part) for part in parts]
        figures.append(_figure(title, labels, parts, shares, axis))
        for part, own in zip(parts[1:], shares[1:], strict=True):
            rows.append([title, part.name, f"{distance(shares[0], own):.3f}"])
    summary = [_summary(part) for part in parts]
    return {"figures": figures, "distances": rows, "summary": summary}


def _size_labels() -> list[str]:
    edges = [f"{100 * edge:.1f}" if edge < 0.1 else f"{100 * edge:.0f}" for edge in SIZE_EDGES]
    return [f"{low}-{high}" for low, high in pairwise(edges)]


def _summary(part: Part) -> list[str]:
    mean = part.boxes_per_image.mean() if part.image_count else 0.0
    median = np.median(part.relative_sizes) if len(part.relative_sizes) else float("nan")
    empty = int((part.boxes_per_image == 0).sum())
    return [
        part.name,
        f"{part.image_count}",
        f"{len(part.labels)}",
        f"{mean:.2f}",
        f"{empty}",
        "-" if np.isnan(median) else f"{100 * median:.1f} %",
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
