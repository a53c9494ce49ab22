"""Data of the box viewer: pictures with truth, members and fusion as layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from experiments.report.gathered.gather import FUSION, Material, ScoredPredictions
from experiments.report.page.pictures import picture_uri
from scoring.outcomes import errors_of_images, outcomes, scores_that_found

# Weaker or later boxes than these never show at a threshold that anybody would look at.
LOWEST_SCORE = 0.03
MAX_BOXES = 150

SourcesOfBox = Mapping[int, Sequence[Mapping[str, Any]]]


def worst_image_ids(scored: ScoredPredictions, threshold: float, count: int) -> list[int]:
    """Return the images with most missed plus false boxes; never one without errors."""
    errors = errors_of_images(scored.predictions, scored.matcher, threshold).sum(axis=1)
    order = np.argsort(-errors, kind="stable")[:count]
    return [int(scored.predictions.image_ids[i]) for i in order if errors[i] > 0]


def most_changed_image_ids(
    before: ScoredPredictions, after: ScoredPredictions, thresholds: tuple[float, float], count: int
) -> list[int]:
    """Return the images on which fusion changed the number of errors most, gains and losses."""
    first, second = (
        errors_of_images(scored.predictions, scored.matcher, threshold).sum(axis=1)
        for scored, threshold in zip((before, after), thresholds, strict=True)
    )
    order = np.argsort(-np.abs(first - second), kind="stable")[:count]
    return [int(after.predictions.image_ids[i]) for i in order if first[i] != second[i]]


def picture_of(truth: CocoDataset, data_root: Path, image_id: int) -> dict[str, Any] | None:
    """Return `uri`, `file_name`, `width` and `height` of an image; None if it is unreadable."""
    image = truth.images[truth.index_of_image_id[image_id]]
    uri = picture_uri(data_root / image["file_name"])
    if uri is None:
        return None
    return {"uri": uri, **{key: image[key] for key in ("file_name", "width", "height")}}


def viewer_images(
    material: Material,
    best: ScoredPredictions,
    truth: CocoDataset,
    image_ids: Sequence[int],
    fused_sources: SourcesOfBox | None = None,
) -> list[dict[str, Any]]:
    """Return one entry per image: its truth and each layer's boxes.

    Whether a box hits does not depend on the threshold, as boxes claim truths by descending score;
    a truth is missed at every threshold above the score of the box that found it.

    Args:
        material: with the scored predictions.
        best: the predictions whose misses are marked.
        truth: validation images with their boxes.
        image_ids: the images, in the order shown.
        fused_sources: row of the fused file -> the members' boxes that went into it.

    Returns:
        Entries with `id`, `truth` (rows of [xmin, ymin, xmax, ymax, class index, score of the best
        predictions' box that found it, -1 if none]) and `layers`: name -> rows of [xmin, ymin,
        xmax, ymax, class index, score, hit], fused rows with their sources as an eighth item.
    """
    hits = {s.name: outcomes(s.predictions, s.matcher, 0.0).hit for s in material.scored}
    found_at = scores_that_found(best.matcher)
    entries = []
    for image_id in image_ids:
        layers = {
            scored.name: _layer(scored, truth, image_id, hits[scored.name], fused_sources)
            for scored in material.scored
        }
        boxes = _truth_boxes(truth, image_id, found_at)
        entries.append({"id": image_id, "truth": boxes, "layers": layers})
    return entries


def _class_index(truth: CocoDataset) -> dict[int, int]:
    return {int(k): index for index, k in enumerate(truth.category_ids)}


def _truth_boxes(truth: CocoDataset, image_id: int, found_at: np.ndarray) -> list[list[float]]:
    class_of = _class_index(truth)
    return [
        [
            *_pixels(truth.boxes_xyxy[row]),
            class_of[int(truth.labels[row])],
            round(float(found_at[row]), 6),
        ]
        for row in truth.annotation_rows_of_image_id[image_id]
    ]


def _layer(
    scored: ScoredPredictions,
    truth: CocoDataset,
    image_id: int,
    hit: np.ndarray,
    fused_sources: SourcesOfBox | None,
) -> list[list[Any]]:
    predictions, class_of = scored.predictions, _class_index(truth)
    span = predictions.rows(image_id)
    rows = [r for r in range(span.start, span.stop) if predictions.scores[r] >= LOWEST_SCORE]
    layer: list[list[Any]] = []
    for row in rows[:MAX_BOXES]:
        box: list[Any] = [
            *_pixels(predictions.boxes_xyxy[row]),
            class_of.get(int(predictions.labels[row]), -1),
            round(float(predictions.scores[row]), 6),
            int(hit[row]),
        ]
        if scored.name == FUSION and fused_sources is not None:
            box.append(list(fused_sources.get(row, ())))
        layer.append(box)
    return layer


def _pixels(box_xyxy: np.ndarray) -> list[float]:
    return [round(float(value), 1) for value in box_xyxy]
