"""Confusion matrix at IoU .5 whose every cell knows its boxes, with crops of a few of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import iou_matrix
from experiments.report.gathered.gather import Source
from experiments.report.page.pictures import crop_uri

IOU_THRESHOLD = 0.5
CROPS_PER_CELL = 6
# Of all cells together: with many classes each gets fewer, and only the fullest cells get any.
MAX_CROPS = 900


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


def pair_boxes(source: Source, truth: CocoDataset, threshold: float) -> Pairs:
    """Pair boxes with truth across classes: by falling score, each with the best truth still free.

    A box of the wrong class shows as a confusion of two classes, not as one miss and one false
    box. The counts are those of `scoring.diagnosis.confusion_matrix`, which does not say which
    boxes it counted; a test holds the two together.

    Args:
        source: predictions of the images of `truth`.
        truth: the annotations.
        threshold: boxes below this score are left out.
    """
    predictions = source.predictions
    class_of = {int(k): index for index, k in enumerate(truth.category_ids)}
    nothing = len(class_of)
    known = np.isin(predictions.labels, truth.category_ids)
    rows: list[tuple[int, int]] = []
    for image_id in predictions.image_ids.tolist():
        span = predictions.rows(image_id)
        rows_of_image = np.arange(span.start, span.stop)
        counts = (predictions.scores[span] >= threshold) & known[span]
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


def cells_with_crops(counts: np.ndarray) -> list[str]:
    """Return the "row,column" of at most `MAX_CROPS` filled cells, the fullest first."""
    order = np.argsort(-counts, axis=None, kind="stable")[:MAX_CROPS]
    rows, columns = np.unravel_index(order, counts.shape)
    return [f"{r},{c}" for r, c in zip(rows, columns, strict=True) if counts[r, c]]


def confusion_section(
    source: Source, truth: CocoDataset, threshold: float, data_root: Path
) -> dict[str, Any]:
    """Return the matrix with a few crops per cell, the most confident boxes first.

    Returns:
        `classes`, `counts`, `threshold`, `source` and `crops`: "row,column" -> list of `uri`,
        `file_name`, `score` (None for a miss) and `image_id`.
    """
    pairs = pair_boxes(source, truth, threshold)
    count = len(truth.categories)
    counts = confusion_counts(pairs, count)
    crops: dict[str, list[dict[str, Any]]] = {key: [] for key in cells_with_crops(counts)}
    per_cell = max(1, min(CROPS_PER_CELL, MAX_CROPS // max(len(crops), 1)))
    scores = np.zeros(len(pairs.row))
    scores[pairs.row >= 0] = source.predictions.scores[pairs.row[pairs.row >= 0]]
    for position in np.argsort(-scores, kind="stable"):
        key = f"{pairs.truth_class[position]},{pairs.predicted_class[position]}"
        cell = crops.get(key)
        if cell is not None and len(cell) < per_cell:
            crop = _crop(source, truth, pairs, int(position), data_root)
            if crop:
                cell.append(crop)
    return {
        "classes": list(truth.category_names),
        "counts": counts.tolist(),
        "threshold": round(threshold, 4),
        "source": source.name,
        "crops": crops,
    }


def _crop(
    source: Source, truth: CocoDataset, pairs: Pairs, position: int, data_root: Path
) -> dict[str, Any] | None:
    row, truth_row = int(pairs.row[position]), int(pairs.truth_row[position])
    if row >= 0:
        box = source.predictions.boxes_xyxy[row]
        image_id = int(source.predictions.image_id_of_row[row])
    else:
        box = truth.boxes_xyxy[truth_row]
        image_id = int(truth.annotation_image_ids[truth_row])
    name = truth.images[truth.index_of_image_id[image_id]]["file_name"]
    uri = crop_uri(data_root / name, tuple(float(v) for v in box))
    if uri is None:
        return None
    score = round(float(source.predictions.scores[row]), 3) if row >= 0 else None
    return {"uri": uri, "file_name": name, "score": score, "image_id": image_id}
