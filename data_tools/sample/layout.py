"""What stands where in the sample's scenes: classes, counts, sizes and shapes, before any pixel.

The figures are those of the competition that the kit was made for: 4,883 training images with
23,144 boxes ("Recycle Trash", Upstage, CC BY 4.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

CLASS_NAMES = (
    "General trash",
    "Paper",
    "Paper pack",
    "Metal",
    "Glass",
    "Plastic",
    "Styrofoam",
    "Plastic bag",
    "Battery",
    "Clothing",
)
BOXES_PER_CLASS = (3966, 6352, 897, 936, 982, 2943, 1263, 5178, 159, 468)
# Median box size of each class (as below), and the standard deviation of its logarithm.
CLASS_MEDIAN_SIZE = (0.136, 0.184, 0.184, 0.209, 0.182, 0.166, 0.222, 0.244, 0.191, 0.335)
CLASS_LOG_SPREAD = (0.94, 0.87, 0.82, 0.90, 0.71, 0.86, 0.73, 0.77, 0.46, 0.68)

# Quantiles of boxes per image: (share of images at or below, boxes). Mean 4.7.
COUNT_QUANTILES = (
    (0.406, 1),
    (0.566, 2),
    (0.649, 3),
    (0.702, 4),
    (0.747, 5),
    (0.781, 6),
    (0.813, 7),
    (0.834, 8),
    (0.856, 9),
    (0.874, 10),
    (0.888, 11),
    (0.901, 12),
    (0.950, 18),
    (0.970, 23),
    (0.990, 31),
    (0.999, 46),
    (1.000, 71),
)
# Square root of the box area as a fraction of the image side, at these shares of all boxes.
SIZE_SHARES = (0.0, 0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99, 1.0)
SIZE_QUANTILES = (0.024, 0.030, 0.041, 0.098, 0.193, 0.337, 0.586, 0.787, 0.95)
# Width over height.
ASPECT_SHARES = SIZE_SHARES
ASPECT_QUANTILES = (0.13, 0.19, 0.35, 0.69, 1.05, 1.54, 2.97, 5.61, 8.0)

# Crowded images have smaller boxes: rank correlation of the two, -.46 in the real data.
COUNT_SIZE_CORRELATION = 0.48
LONGEST_SIDE = 0.98
SHORTEST_SIDE = 0.014


@dataclass(frozen=True)
class Layout:
    """The objects of a set of scenes; image i owns the objects with `image_index == i`.

    Attributes:
        image_index: (N,) int64, ascending.
        labels: (N,) int64 index into `CLASS_NAMES`.
        sizes_wh: (N, 2) width and height as fractions of the image side.
        images: number of scenes.
    """

    image_index: np.ndarray
    labels: np.ndarray
    sizes_wh: np.ndarray
    images: int


def draw_layout(images: int, rng: np.random.Generator) -> Layout:
    """Draw the objects of `images` scenes.

    Every marginal is drawn by quantiles (one draw in each of N equal slices), so that small sets
    already have the competition's distributions: of 2,600 boxes 18 are batteries, not 10 or 30.
    """
    counts = draw_counts(images, rng)
    image_index = np.repeat(np.arange(images), counts)
    boxes = len(image_index)
    size_shares = _sizes_falling_with_count(counts, image_index, rng)
    sizes = np.exp(np.interp(size_shares, SIZE_SHARES, np.log(SIZE_QUANTILES)))
    aspects = np.exp(np.interp(_slices(boxes, rng), ASPECT_SHARES, np.log(ASPECT_QUANTILES)))
    return Layout(
        image_index=image_index,
        labels=_match_to_sizes(draw_labels(boxes, rng), sizes, rng),
        sizes_wh=_sides(sizes, aspects),
        images=images,
    )


def draw_counts(images: int, rng: np.random.Generator) -> np.ndarray:
    """Return (images,) int64 numbers of boxes, from 1 to 71."""
    shares, boxes = np.array(COUNT_QUANTILES).T
    index = np.searchsorted(shares, _slices(images, rng), side="left")
    # Between two listed quantiles every whole number is equally likely.
    lowest = np.concatenate([[1], boxes[:-1] + 1])[index]
    return rng.integers(lowest, boxes[index], endpoint=True).astype(np.int64)


def draw_labels(boxes: int, rng: np.random.Generator) -> np.ndarray:
    """Return (boxes,) int64 classes in the real proportions, largest remainders first."""
    exact = boxes * np.array(BOXES_PER_CLASS) / sum(BOXES_PER_CLASS)
    counts = np.floor(exact).astype(np.int64)
    missing = boxes - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))


def _match_to_sizes(labels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal the labels out so that clothes tend to be large and no battery fills the picture.

    Each label draws the size it would like; the k-th smallest wish gets the k-th smallest box, so
    neither the classes' counts nor the distribution of sizes changes.
    """
    spread = np.array(CLASS_LOG_SPREAD)[labels]
    wishes = np.log(CLASS_MEDIAN_SIZE)[labels] + spread * rng.standard_normal(len(labels))
    matched = np.empty_like(labels)
    matched[np.argsort(sizes, kind="stable")] = labels[np.argsort(wishes, kind="stable")]
    return matched


def _slices(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (count,) numbers in [0, 1), one in each of `count` equal slices, shuffled."""
    return (rng.permutation(count) + rng.random(count)) / max(count, 1)


def _sizes_falling_with_count(
    counts: np.ndarray, image_index: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return (N,) size quantiles: uniform over all boxes, lower in crowded images (a copula)."""
    order = np.lexsort((rng.random(len(counts)), counts))
    boxes_before = np.empty(len(counts))
    boxes_before[order] = np.cumsum(counts[order]) - counts[order] / 2
    crowding = ndtri(boxes_before / counts.sum())[image_index]
    noise = rng.standard_normal(len(image_index))
    rho = COUNT_SIZE_CORRELATION
    mixed = ndtr(-rho * crowding + np.sqrt(1 - rho**2) * noise)
    ranks = np.argsort(np.argsort(mixed, kind="stable"), kind="stable")
    return (ranks + rng.random(len(ranks))) / max(len(ranks), 1)


def _sides(sizes: np.ndarray, aspects: np.ndarray) -> np.ndarray:
    """Return (N, 2) width and height of the given root area and ratio, kept inside the image.

    A side that would pass the limits is cut and the other one is kept at the same area as far as
    the limits allow: a very large box cannot be very elongated.
    """
    root = np.sqrt(aspects)
    widths = np.clip(sizes * root, SHORTEST_SIDE, LONGEST_SIDE)
    heights = np.clip(sizes**2 / widths, SHORTEST_SIDE, LONGEST_SIDE)
    widths = np.clip(sizes**2 / heights, SHORTEST_SIDE, LONGEST_SIDE)
    return np.stack([widths, heights], axis=1)
