"""Which box was taken for which truth at IoU .5, whatever their classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import iou_matrix
from data_tools.predictions.table import Predictions

IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class Pairs:
    """Boxes joined with truth, whatever their classes; one row per pair, miss or false box.

    Attributes:
        truth_row: (P,) position in the annotations; -1 for a false box.
        row: (P,) row in the predictions; -1 for a missed truth.
        truth_class, predicted_class: (P,) class index; C means "nothing".
    """

    truth_row: np.ndarray
    row: np.ndarray
    truth_class: np.ndarray
    predicted_class: np.ndarray


def pair_boxes(predictions: Predictions, truth: CocoDataset, threshold: float) -> Pairs:
    """Pair boxes with truth across classes, by descending score.

    Each box gets the truth, of those still free, that it overlaps most. A box of the wrong class
    shows as a confusion of two classes, not as one miss and one false box. The counts are those of
    `scoring.diagnosis.confusion_matrix`, which does not say which boxes it counted; a test holds
    the two together.

    Args:
        predictions: boxes of the images of `truth`.
        truth: the annotations.
        threshold: boxes below this score are left out.
    """
    class_of = {int(k): index for index, k in enumerate(truth.category_ids)}
    nothing = len(class_of)
    known = np.isin(predictions.labels, truth.category_ids)
    reaches = predictions.reaches(threshold)
    rows: list[tuple[int, int]] = []
    for image_id in predictions.image_ids.tolist():
        span = predictions.rows(image_id)
        rows_of_image = np.arange(span.start, span.stop)
        counts = reaches[span] & known[span]
        kept = rows_of_image[counts]
        kept = kept[np.argsort(-predictions.scores[kept], kind="stable")]
        truth_rows = np.array(truth.annotation_rows_of_image_id[image_id], dtype=int)
        overlap = iou_matrix(predictions.boxes_xyxy[kept], truth.boxes_xyxy[truth_rows])
        rows += _pairs_of_image(kept, truth_rows, overlap)
    pairs = np.array(rows, dtype=int).reshape(-1, 2)
    truth_class = [class_of[int(truth.labels[t])] if t >= 0 else nothing for t, _ in rows]
    predicted = [class_of[int(predictions.labels[r])] if r >= 0 else nothing for _, r in rows]
    return Pairs(
        pairs[:, 0],
        pairs[:, 1],
        np.array(truth_class, dtype=int),
        np.array(predicted, dtype=int),
    )


def _pairs_of_image(
    kept: np.ndarray, truth_rows: np.ndarray, overlap: np.ndarray
) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    free = np.ones(len(truth_rows), dtype=bool)
    for place, row in enumerate(kept):
        candidates = np.where(free, overlap[place], 0.0)
        target = int(np.argmax(candidates)) if len(candidates) else -1
        if target >= 0 and candidates[target] >= IOU_THRESHOLD:
            free[target] = False
            pairs.append((int(truth_rows[target]), int(row)))
        else:
            pairs.append((-1, int(row)))
    return pairs + [(int(target), -1) for target in truth_rows[free]]


def confusion_counts(pairs: Pairs, class_count: int) -> np.ndarray:
    """Return (C + 1, C + 1) counts, truth by row, prediction by column; the last is "nothing"."""
    side = class_count + 1
    flat = np.bincount(pairs.truth_class * side + pairs.predicted_class, minlength=side * side)
    return flat.reshape(side, side)
