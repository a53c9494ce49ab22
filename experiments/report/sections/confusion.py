"""Confusion matrix at IoU .5 whose every cell knows its boxes, with crops of a few of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from experiments.report.gathered.gather import ScoredPredictions
from experiments.report.page.pictures import crop_uri
from scoring.confusion import Pairs, confusion_counts, pair_boxes

CROPS_PER_CELL = 6
# Of all cells together: with many classes each gets fewer, and only the fullest cells get any.
MAX_CROPS = 900


def cells_with_crops(counts: np.ndarray) -> list[str]:
    """Return the "row,column" of at most `MAX_CROPS` filled cells, the fullest first."""
    order = np.argsort(-counts, axis=None, kind="stable")[:MAX_CROPS]
    rows, columns = np.unravel_index(order, counts.shape)
    return [f"{r},{c}" for r, c in zip(rows, columns, strict=True) if counts[r, c]]


def confusion_section(
    scored: ScoredPredictions, truth: CocoDataset, threshold: float, data_root: Path
) -> dict[str, Any]:
    """Return the matrix with a few crops per cell, the most confident boxes first.

    Returns:
        `classes`, `counts`, `threshold`, `name` and `crops`: "row,column" -> list of `uri`,
        `file_name`, `score` (None for a miss) and `image_id`.
    """
    pairs = pair_boxes(scored.predictions, truth, threshold)
    count = len(truth.categories)
    counts = confusion_counts(pairs, count)
    crops: dict[str, list[dict[str, Any]]] = {key: [] for key in cells_with_crops(counts)}
    per_cell = max(1, min(CROPS_PER_CELL, MAX_CROPS // max(len(crops), 1)))
    scores = np.zeros(len(pairs.row))
    scores[pairs.row >= 0] = scored.predictions.scores[pairs.row[pairs.row >= 0]]
    for position in np.argsort(-scores, kind="stable"):
        key = f"{pairs.truth_class[position]},{pairs.predicted_class[position]}"
        cell = crops.get(key)
        if cell is not None and len(cell) < per_cell:
            crop = _crop(scored, truth, pairs, int(position), data_root)
            if crop:
                cell.append(crop)
    return {
        "classes": list(truth.category_names),
        "counts": counts.tolist(),
        "threshold": round(threshold, 4),
        "name": scored.name,
        "crops": crops,
    }


def _crop(
    scored: ScoredPredictions, truth: CocoDataset, pairs: Pairs, position: int, data_root: Path
) -> dict[str, Any] | None:
    row, truth_row = int(pairs.row[position]), int(pairs.truth_row[position])
    if row >= 0:
        box = scored.predictions.boxes_xyxy[row]
        image_id = int(scored.predictions.image_id_of_row[row])
    else:
        box = truth.boxes_xyxy[truth_row]
        image_id = int(truth.annotation_image_ids[truth_row])
    name = truth.images[truth.index_of_image_id[image_id]]["file_name"]
    xmin, ymin, xmax, ymax = (float(value) for value in box)
    uri = crop_uri(data_root / name, (xmin, ymin, xmax, ymax))
    if uri is None:
        return None
    score = round(float(scored.predictions.scores[row]), 3) if row >= 0 else None
    return {"uri": uri, "file_name": name, "score": score, "image_id": image_id}
