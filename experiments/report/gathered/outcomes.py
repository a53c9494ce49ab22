"""What became of each box at IoU .5: hit or false, and which truth was found or missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from experiments.report.gathered.gather import Source


@dataclass(frozen=True)
class Outcomes:
    """Boxes of one source above a score threshold, against the truth.

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


def outcomes(source: Source, threshold: float) -> Outcomes:
    """Match the boxes of a source that reach a threshold, by the competition's rules."""
    matcher = source.scorer.competition
    kept = source.predictions.scores >= threshold
    claimed = matcher.true_positives(keep=kept[matcher.rows])
    hit = np.zeros(len(kept), dtype=bool)
    hit[matcher.rows] = claimed
    found = np.zeros(len(matcher.truth_image_index), dtype=bool)
    found[matcher.best_truth[claimed]] = True
    return Outcomes(threshold, kept, hit, found)


def best_f1_threshold(source: Source) -> float:
    """Return the score above which all boxes together have the highest F1 at IoU .5.

    Returns:
        A score of one of the boxes; 0.5 when no box hits anything.
    """
    everything = outcomes(source, 0.0)
    if not everything.hit.any():
        return 0.5
    scores = source.predictions.scores
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(everything.hit[order])
    seen = np.arange(1, len(order) + 1)
    f1 = 2 * found / (seen + len(everything.truth_found))
    # Only the last of equal scores is a cut that a threshold can make.
    is_last = np.append(np.diff(scores[order]) != 0, True)
    return float(scores[order][np.argmax(np.where(is_last, f1, 0))])


def errors_of_images(source: Source, truth: CocoDataset, threshold: float) -> np.ndarray:
    """Return (I, 2) counts of missed truth boxes and false boxes, by ascending image id."""
    result = outcomes(source, threshold)
    predictions = source.predictions
    image_count = len(predictions.image_ids)
    truth_image = np.searchsorted(predictions.image_ids, truth.annotation_image_ids)
    missed = np.bincount(truth_image[~result.truth_found], minlength=image_count)
    false = result.kept & ~result.hit
    return np.stack(
        [missed, np.bincount(predictions.image_index_of_row[false], minlength=image_count)], axis=1
    )
