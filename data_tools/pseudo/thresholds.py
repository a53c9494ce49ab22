"""Which predicted boxes are sure enough to be used as labels: thresholds and how to choose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import iou_matrix
from data_tools.ground.errors import UserError
from data_tools.predictions.table import Predictions

# A class with fewer out-of-fold boxes than this gets the threshold of all classes together: the
# precision of nineteen boxes says little.
MIN_BOXES_FOR_OWN_THRESHOLD = 20
MATCH_IOU = 0.5


@dataclass(frozen=True)
class Thresholds:
    """Lowest score to be kept, by class.

    Attributes:
        of_category: category id -> threshold; infinity keeps nothing of that class.
        choice: how they were chosen, for the record.
    """

    of_category: dict[int, float]
    choice: str

    def keep(self, predictions: Predictions) -> np.ndarray:
        """Return an (N,) mask of the boxes whose score reaches their class's threshold."""
        # In the precision of the scores, 0.3 in a file reaches a threshold of 0.3.
        wanted = np.array(
            [self.of_category[label] for label in predictions.labels.tolist()],
            predictions.scores.dtype,
        )
        return predictions.scores >= wanted

    def by_name(self, dataset: CocoDataset) -> dict[str, float | None]:
        """Return class name -> threshold; None where nothing of the class is kept."""
        names = dict(
            zip(dataset.category_ids.tolist(), dataset.distinct_category_names, strict=True)
        )
        return {
            names[label]: (float(value) if np.isfinite(value) else None)
            for label, value in self.of_category.items()
        }


def given_thresholds(
    dataset: CocoDataset, threshold: float, of_class_name: Mapping[str, float]
) -> Thresholds:
    """Return one threshold for all classes, with exceptions by class name.

    Raises:
        UserError: a threshold outside 0 to 1, or a class that does not exist.
    """
    unknown = sorted(set(of_class_name) - set(dataset.distinct_category_names))
    if unknown:
        raise UserError(
            f"no class {unknown[0]!r}",
            expected=f"one of {', '.join(dataset.distinct_category_names)}",
        )
    for name, value in {"--threshold": threshold, **of_class_name}.items():
        if not 0 <= value <= 1:
            raise UserError(f"the threshold of {name} is {value}", expected="0 to 1")
    of_category = {
        label: float(of_class_name.get(name, threshold))
        for label, name in zip(
            dataset.category_ids.tolist(), dataset.distinct_category_names, strict=True
        )
    }
    choice = f"given: {threshold:g}"
    if of_class_name:
        choice += ", " + ", ".join(f"{name} {value:g}" for name, value in of_class_name.items())
    return Thresholds(of_category, choice)


def density_thresholds(predictions: Predictions, train: CocoDataset) -> Thresholds:
    """Return the one threshold that leaves as many boxes per image as the training images have."""
    wanted = len(train.annotations) / max(len(train.images), 1) * len(predictions.image_ids)
    descending = np.sort(predictions.scores)[::-1]
    count = min(round(wanted), len(descending))
    threshold = float(descending[count - 1]) if count else float("inf")
    of_category = dict.fromkeys(train.category_ids.tolist(), threshold)
    return Thresholds(of_category, "as many boxes per image as in training")


def precision_thresholds(
    out_of_fold: Predictions, truth: CocoDataset, target_precision: float
) -> Thresholds:
    """Return the lowest thresholds at which out-of-fold boxes reach a precision.

    Args:
        out_of_fold: the teacher's predictions on images that it was not trained on.
        truth: their annotations.
        target_precision: share of kept boxes that match a truth of their class at IoU >= .5.

    Returns:
        One threshold per class; infinity where no threshold reaches the precision.

    Raises:
        UserError: the target lies outside (0, 1], or the teacher was trained on these images.
    """
    if not 0 < target_precision <= 1:
        raise UserError(f"--target-precision is {target_precision}", expected="above 0, at most 1")
    _refuse_seen(out_of_fold, truth)
    correct = match_to_truth(out_of_fold, truth)
    scores, labels = out_of_fold.scores, out_of_fold.labels
    pooled = lowest_threshold(scores, correct, target_precision)
    of_category = {}
    for label in truth.category_ids.tolist():
        mine = labels == label
        enough = int(mine.sum()) >= MIN_BOXES_FOR_OWN_THRESHOLD
        of_category[label] = (
            lowest_threshold(scores[mine], correct[mine], target_precision) if enough else pooled
        )
    return Thresholds(of_category, f"precision {target_precision:g} on out-of-fold predictions")


def lowest_threshold(scores: np.ndarray, correct: np.ndarray, target: float) -> float:
    """Return the lowest score such that the boxes scoring at least it reach the target precision.

    Args:
        scores: (N,) in [0, 1].
        correct: (N,) bool.
        target: precision to reach.

    Returns:
        One of the scores, or infinity if no threshold reaches the target.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # Equal scores are kept or dropped together: only the last of each run is a possible cut.
    is_cut = np.append(np.diff(ranked) != 0, True)[: len(ranked)]
    reached = np.flatnonzero(is_cut & (precision >= target))
    return float(ranked[reached[-1]]) if len(reached) else float("inf")


def match_to_truth(predictions: Predictions, truth: CocoDataset) -> np.ndarray:
    """Return an (N,) mask of the boxes that match a truth of their class at IoU >= .5.

    Boxes are taken by descending score; each takes the free truth that it overlaps most, and a
    truth is taken once. Crowd regions are no truth.
    """
    correct = np.zeros(len(predictions), dtype=bool)
    rows_of_image = truth.annotation_rows_of_image_id
    for image_id in predictions.image_ids.tolist():
        rows = predictions.rows(image_id)
        truth_rows = np.array(rows_of_image[image_id], dtype=np.int64)
        truth_rows = truth_rows[~truth.iscrowd[truth_rows]]
        if rows.stop == rows.start or not len(truth_rows):
            continue
        overlaps = iou_matrix(predictions.boxes_xyxy[rows], truth.boxes_xyxy[truth_rows])
        same_class = predictions.labels[rows][:, None] == truth.labels[truth_rows][None]
        order = np.argsort(-predictions.scores[rows], kind="stable")
        correct[rows] = _take_greedily(np.where(same_class, overlaps, 0.0), order)
    return correct


def _take_greedily(overlaps: np.ndarray, order: np.ndarray) -> np.ndarray:
    matched = np.zeros(len(overlaps), dtype=bool)
    free = overlaps.copy()
    for row in order.tolist():
        best = int(np.argmax(free[row]))
        if free[row, best] >= MATCH_IOU:
            matched[row] = True
            free[:, best] = 0.0
    return matched


def _refuse_seen(out_of_fold: Predictions, truth: CocoDataset) -> None:
    seen = out_of_fold.provenance.seen_file_names() & set(truth.file_names)
    if seen:
        raise UserError(
            f"the teacher, or a teacher of it, was trained on {len(seen)} of the "
            f"{len(truth.images)} images that the threshold would be chosen on",
            where=f"{truth.source}, such as {min(seen)}",
            expected="out-of-fold predictions",
            next_step="give --oof the val.parquet of the fold that was held out",
        )
