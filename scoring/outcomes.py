"""What became of each box at IoU .5: hit or false, and which truth was found or missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.predictions.table import Predictions
from scoring.metrics.competition import CompetitionMatcher


@dataclass(frozen=True)
class Outcomes:
    """Boxes above a score threshold, against the truth.

    Attributes:
        threshold: score that boxes must reach.
        kept: (N,) mask of the boxes that reach it.
        hit: (N,) mask of the kept boxes that found a truth box first.
        truth_found: (M,) mask over the annotations.
    """

    threshold: float
    kept: np.ndarray
    hit: np.ndarray
    truth_found: np.ndarray


def outcomes(predictions: Predictions, matcher: CompetitionMatcher, threshold: float) -> Outcomes:
    """Match the boxes that reach a threshold, by the competition's rules.

    Args:
        predictions: the boxes.
        matcher: their matches with the truth.
        threshold: boxes scored lower take no truth.
    """
    kept = predictions.reaches(threshold)
    claimed = matcher.true_positives(keep=kept[matcher.rows])
    hit = np.zeros(len(kept), dtype=bool)
    hit[matcher.rows] = claimed
    found = np.zeros(len(matcher.truth_image_index), dtype=bool)
    found[matcher.best_truth[claimed]] = True
    return Outcomes(threshold, kept, hit, found)


def best_f1_threshold(predictions: Predictions, matcher: CompetitionMatcher) -> float:
    """Return the score above which all boxes together have the highest F1 at IoU .5.

    Returns:
        A score of one of the boxes; 0.5 when no box hits anything.
    """
    everything = outcomes(predictions, matcher, 0.0)
    if not everything.hit.any():
        return 0.5
    scores = predictions.scores
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(everything.hit[order])
    seen = np.arange(1, len(order) + 1)
    f1 = 2 * found / (seen + len(everything.truth_found))
    # Only the last of equal scores is a cut that a threshold can make.
    is_last = np.append(np.diff(scores[order]) != 0, True)
    return float(scores[order][np.argmax(np.where(is_last, f1, 0))])


def errors_of_images(
    predictions: Predictions, matcher: CompetitionMatcher, threshold: float
) -> np.ndarray:
    """Return (I, 2) counts of missed truth boxes and false boxes, by ascending image id."""
    result = outcomes(predictions, matcher, threshold)
    image_count = len(predictions.image_ids)
    missed = matcher.truth_image_index[~result.truth_found]
    false = predictions.image_index_of_row[result.kept & ~result.hit]
    counts = [np.bincount(images, minlength=image_count) for images in (missed, false)]
    return np.stack(counts, axis=1)


def scores_that_found(matcher: CompetitionMatcher) -> np.ndarray:
    """Return (M,) the score of the box that found each truth box; -1 where none did."""
    hits = matcher.true_positives()
    scores = np.full(len(matcher.truth_image_index), -1.0)
    scores[matcher.best_truth[hits]] = matcher.scores[hits]
    return scores
