"""What a dataset looks like: classes, box sizes, boxes per image, shapes; and how two differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
# COCO's limits between small, medium and large boxes, in square pixels.
SMALL_AREA_PX, LARGE_AREA_PX = 32**2, 96**2


@dataclass(frozen=True)
class BoxMeasures:
    """One number per box or image, from which statistics and distances are made.

    Attributes:
        class_shares: class name -> share of the boxes, 0 to 1.
        size: (N,) square root of box area over square root of image area.
        aspect: (N,) width over height.
        count: (I,) boxes per image.
    """

    class_shares: dict[str, float]
    size: np.ndarray
    aspect: np.ndarray
    count: np.ndarray


def box_measures(dataset: CocoDataset) -> BoxMeasures:
    """Measure a dataset's boxes."""
    index = [dataset.index_of_image_id[i] for i in dataset.annotation_image_ids.tolist()]
    image_rows = np.array(index, dtype=np.int64)
    return measures_of_boxes(
        dataset, image_rows, dataset.labels, dataset.boxes_xywh[:, 2], dataset.boxes_xywh[:, 3]
    )


def measures_of_boxes(
    dataset: CocoDataset,
    image_rows: np.ndarray,
    labels: np.ndarray,
    widths: np.ndarray,
    heights: np.ndarray,
) -> BoxMeasures:
    """Measure boxes, annotated or predicted, on a dataset's images.

    Args:
        dataset: images and classes.
        image_rows: (N,) position of each box's image in `dataset.images`.
        labels: (N,) category ids.
        widths, heights: (N,) pixels, above 0.
    """
    image_area = dataset.sizes_wh.prod(axis=1).astype(np.float64)
    total = max(len(labels), 1)
    return BoxMeasures(
        class_shares={
            name: float((labels == label).sum() / total)
            for label, name in zip(
                dataset.category_ids.tolist(), dataset.distinct_category_names, strict=True
            )
        },
        size=np.sqrt(widths * heights / image_area[image_rows]),
        aspect=widths / heights,
        count=np.bincount(image_rows, minlength=len(dataset.images)),
    )


def statistics(dataset: CocoDataset) -> dict[str, Any]:
    """Return the figures that `data_tools stats` prints, as a JSON object.

    Keys: `images`, `boxes`, `images_without_boxes`, `image_sizes` (text -> images), `classes`
    (name -> boxes), `coco_areas` (small, medium, large by the file's `area` -> boxes), and `size`,
    `aspect`, `count` (percentile -> value; None without boxes), with `count` also holding mean and
    maximum.
    """
    measures = box_measures(dataset)
    sizes, number = np.unique(dataset.sizes_wh, axis=0, return_counts=True)
    area = dataset.annotation_areas
    small, large = int((area < SMALL_AREA_PX).sum()), int((area >= LARGE_AREA_PX).sum())
    labels = dataset.labels
    return {
        "images": len(dataset.images),
        "boxes": len(dataset.annotations),
        "skipped_boxes": len(dataset.skipped),
        "images_without_boxes": int((measures.count == 0).sum()),
        "image_sizes": {
            f"{width} x {height}": int(n)
            for (width, height), n in zip(sizes.tolist(), number.tolist(), strict=True)
        },
        "classes": {
            name: int((labels == label).sum())
            for label, name in zip(
                dataset.category_ids.tolist(), dataset.distinct_category_names, strict=True
            )
        },
        "coco_areas": {"small": small, "medium": len(area) - small - large, "large": large},
        "size": _percentiles(measures.size),
        "aspect": _percentiles(measures.aspect),
        "count": {
            **(_percentiles(measures.count) or {}),
            "mean": float(measures.count.mean()) if len(measures.count) else None,
            "max": int(measures.count.max(initial=0)),
        },
    }


def _percentiles(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    found = np.percentile(values, PERCENTILES)
    return {f"p{percent}": float(value) for percent, value in zip(PERCENTILES, found, strict=True)}


def distances(first: BoxMeasures, second: BoxMeasures) -> dict[str, float | None]:
    """Return how far two datasets are apart, each from 0 (alike) to 1 (nothing in common).

    `class` is the share of boxes that would have to change class (total variation distance);
    `size`, `aspect` and `count` are the largest gap between the two cumulative distributions
    (Kolmogorov-Smirnov distance). None where one side has no boxes.
    """
    if not len(first.size) or not len(second.size):
        return {"class": None, "size": None, "aspect": None, "count": None}
    return {
        "class": total_variation(first.class_shares, second.class_shares),
        "size": largest_gap(first.size, second.size),
        "aspect": largest_gap(first.aspect, second.aspect),
        "count": largest_gap(first.count, second.count),
    }


def total_variation(first: dict[str, float], second: dict[str, float]) -> float:
    """Return half the summed difference of two distributions over names."""
    names = first.keys() | second.keys()
    return sum(abs(first.get(name, 0.0) - second.get(name, 0.0)) for name in sorted(names)) / 2


def largest_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples; both need at least one value."""
    first, second = np.sort(first), np.sort(second)
    at = np.concatenate([first, second])
    share_of_first = np.searchsorted(first, at, side="right") / len(first)
    share_of_second = np.searchsorted(second, at, side="right") / len(second)
    return float(np.abs(share_of_first - share_of_second).max())
