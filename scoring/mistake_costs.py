"""What mistakes of writing cost a file of predictions, measured on truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.misread import MisreadBoxes
from data_tools.predictions.mistakes import cut_text, order_text, score_cut, score_order_of
from data_tools.predictions.table import Predictions
from scoring.metrics.competition import CompetitionMatcher


def mistake_costs(predictions: Predictions, truth: CocoDataset) -> list[dict[str, Any]]:
    """Return the mistakes that a file shows, each with what it costs; mostly none.

    Args:
        predictions: boxes for exactly the images of `truth`, in the order of their file.
        truth: the annotations.

    Returns:
        JSON objects with `mistake` and `note`. "score_order": `competition_map50`, as filed, and
        `in_descending_order`. "score_cut": `lowest_score`, and `recall`, the mean over classes of
        the share of truth that some box finds: no scores for these boxes have a higher AP.
    """
    order, lowest_score = score_order_of(predictions), score_cut(predictions.scores)
    if order is None and lowest_score is None:
        return []
    matcher = CompetitionMatcher.from_predictions(predictions, truth)
    costs = []
    if order is not None:
        as_filed = matcher.mean_average_precision()
        # Written again, not only claimed in another order: ties then fall as in the new file.
        ordered = _map50(predictions.sorted_by_score(), truth)
        costs.append(
            {
                "mistake": "score_order",
                "competition_map50": as_filed,
                "in_descending_order": ordered,
                "note": f"{order_text(order)}: competition_map50 is {as_filed:.4f} as filed, "
                f"{ordered:.4f} in descending order (`submit write` and `data_tools convert "
                "--sort-scores` write it so)",
            }
        )
    if lowest_score is not None:
        recall = mean_recall(matcher)
        costs.append(
            {
                "mistake": "score_cut",
                "lowest_score": lowest_score,
                "recall": recall,
                "note": f"{cut_text(lowest_score)}; {1 - recall:.1%} of the truth (mean over "
                f"classes) is found by no box, so competition_map50 cannot pass {recall:.4f}: "
                "predict with a threshold of 0.001 to 0.05",
            }
        )
    return costs


@contextmanager
def cost_of_misreading(truth: CocoDataset) -> Iterator[None]:
    """Add to the refusal of misread boxes what they score as filed and read otherwise.

    Args:
        truth: the images that are read meanwhile; without annotations the refusal stays as it is.
    """
    try:
        yield
    except MisreadBoxes as error:
        if not truth.annotations:
            raise
        otherwise = error.read_otherwise()
        as_filed = _map50(as_filed_boxes(otherwise), truth)
        raise UserError(
            f"{error.what}: competition_map50 is {as_filed:.4f} as filed, "
            f"{_map50(otherwise, truth):.4f} read so",
            where=error.where,
            expected=error.expected,
            next_step=error.next_step,
        ) from None


def as_filed_boxes(otherwise: Predictions) -> Predictions:
    """Return boxes that were read otherwise as the file has them; those inside out are empty."""
    first, second = otherwise.boxes_xyxy[:, :2], otherwise.boxes_xyxy[:, 2:]
    if otherwise.stated_sides_wh is None:
        second = first + second  # corners stood for width and height
    else:
        second = np.maximum(first, otherwise.stated_sides_wh)
    boxes_xyxy = np.concatenate([first, second], axis=1)
    return replace(otherwise, boxes_xyxy=boxes_xyxy, stated_sides_wh=None)


def _map50(predictions: Predictions, truth: CocoDataset) -> float:
    return CompetitionMatcher.from_predictions(predictions, truth).mean_average_precision()


def mean_recall(matcher: CompetitionMatcher) -> float:
    """Return the share of truth boxes that some box finds, as a mean over the classes in it."""
    found = matcher.best_truth[matcher.true_positives()]
    counts = np.bincount(matcher.truth_class_index[found], minlength=len(matcher.truth_counts))
    present = matcher.truth_counts > 0
    return float((counts[present] / matcher.truth_counts[present]).mean())
