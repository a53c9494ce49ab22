"""Mistakes that a file of predictions shows by itself: scores that rise, weak boxes left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.predictions.table import Predictions

# A threshold leaves a sharp edge: some boxes lie just above it, however strong the others are. In
# few boxes, and far down where nearly everybody cuts (mmdet: 0.05), an edge means little.
FEWEST_BOXES = 100
LOWEST_COSTLY_SCORE = 0.1
EDGE_WIDTH = 0.02
EDGE_SHARE = 0.01


@dataclass(frozen=True)
class ScoreOrder:
    """How scores stand within the boxes of an image and class, in the order of the file.

    Attributes:
        rises: (N,) bool, boxes that score higher than the one before them.
        images: images with two boxes of a class or more: the only ones that have an order.
        unordered_images: images among them with a box that rises.
        rising_images: images among those where no box falls.
    """

    rises: np.ndarray
    images: int
    unordered_images: int
    rising_images: int


def score_order(image_index: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> ScoreOrder:
    """Look at the order of scores; matching is per class, so that of classes means nothing.

    Args:
        image_index, labels: (N,) integers, rows in the order of the file.
        scores: (N,).
    """
    order = np.lexsort((labels, image_index))
    same = (np.diff(image_index[order]) == 0) & (np.diff(labels[order]) == 0)
    change = np.diff(scores[order])
    images_of = image_index[order[1:]]
    rises = np.zeros(len(order), dtype=bool)
    rises[order[1:]] = same & (change > 0)
    unordered = np.unique(image_index[rises])
    falling = np.unique(images_of[same & (change < 0)])
    return ScoreOrder(
        rises=rises,
        images=len(np.unique(images_of[same])),
        unordered_images=len(unordered),
        rising_images=len(np.setdiff1d(unordered, falling)),
    )


def score_order_of(predictions: Predictions) -> ScoreOrder | None:
    """Return the order of a file that is not in descending order, else None."""
    if predictions.row_order == "score":
        return None
    found = score_order(predictions.image_index_of_row, predictions.labels, predictions.scores)
    return found if found.unordered_images else None


def images_out_of_order(predictions: Predictions) -> int:
    """Return the images whose boxes, of whatever class, are not in descending order of score."""
    one_class = np.zeros(len(predictions), dtype=np.int64)
    order = score_order(predictions.image_index_of_row, one_class, predictions.scores)
    return order.unordered_images


def score_cut(scores: np.ndarray) -> float | None:
    """Return the lowest score if it looks like a threshold that costs recall, else None.

    That is one from 0.1, in at least 100 boxes not all scored alike, of which at least 1 % lie
    within 0.02 of it.

    Args:
        scores: (N,).
    """
    if len(scores) < FEWEST_BOXES:
        return None
    lowest = float(scores.min())
    near = np.count_nonzero(scores <= lowest + EDGE_WIDTH)
    is_edge = EDGE_SHARE * len(scores) <= near < len(scores)
    return lowest if is_edge and lowest >= LOWEST_COSTLY_SCORE else None


def order_text(order: ScoreOrder) -> str:
    """Return the fact as the beginning of a sentence."""
    rising = f" (rising throughout on {order.rising_images})" if order.rising_images else ""
    return (
        f"on {order.unordered_images} of {order.images} images boxes of a class are not in "
        f"descending order of score{rising}"
    )


def cut_text(lowest_score: float) -> str:
    """Return the fact as the beginning of a sentence."""
    return (
        f"no box is scored below {lowest_score:.4g}, and many lie just above it: weaker boxes "
        "seem to have been left out"
    )
