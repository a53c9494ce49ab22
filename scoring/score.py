"""The one scorer: the competition's metric and COCO's from the same boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.leaks import leak_report
from scoring.metrics.coco import AREA_NAMES, MAX_DETECTIONS, CocoMatcher, mean_or_none, summarize
from scoring.metrics.competition import IOU_THRESHOLD, CompetitionMatcher
from scoring.mistake_costs import mistake_costs
from scoring.table import ScoringTable, scoring_table
from scoring.uncertainty.bootstrap import DEFAULT_SEED, ImageScorer, image_samples
from scoring.uncertainty.intervals import score_interval

WITH_INTERVAL = ("competition_map50", "map")


def score(
    predictions: Predictions,
    truth: CocoDataset,
    *,
    bootstrap_samples: int = 0,
    seed: int = DEFAULT_SEED,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Any]:
    """Score predictions with the competition's metric and with COCO's.

    Args:
        predictions: boxes for exactly the images of `truth`, in the order of their file.
        truth: the annotations.
        bootstrap_samples: above 0 adds `intervals`, from that many samples of images.
        seed: seed of those samples.
        max_detections: COCO's cap per class and image; the competition's metric has none.

    Returns:
        A JSON object: `competition_map50`, `map`, `map50`, `map75`, `map_small`, `map_medium`,
        `map_large` (None where no truth is of that kind), `per_class` by class name, `images`,
        `boxes`, `truth_boxes`, `intervals`, `caps`, `tie_range`, `leaked`, `mistakes` (what
        `mistake_costs` returns), `notes`.

    Raises:
        UserError: the predictions are for other images, or the truth has no boxes.
    """
    table = scoring_table(predictions, truth)
    competition = CompetitionMatcher.from_table(table)
    coco = CocoMatcher.from_table(table, max_detections=max_detections)
    competition_ap, coco_ap = competition.average_precision(), coco.average_precision()
    low, high = competition.tie_range()
    mistakes = mistake_costs(predictions, truth)
    return {
        "competition_map50": mean_or_none(competition_ap),
        **summarize(coco_ap),
        "per_class": _per_class(table, competition_ap, coco_ap),
        "images": len(table.image_ids),
        "boxes": len(predictions),
        "truth_boxes": len(table.truth_ids),
        "intervals": _intervals(competition, coco, bootstrap_samples, seed),
        "caps": _caps(table, coco, max_detections),
        "tie_range": {"low": low, "high": high},
        "leaked": leak_report(predictions.provenance, truth),
        "mistakes": mistakes,
        "notes": [
            *(mistake["note"] for mistake in mistakes),
            *_notes(table, truth, coco, max_detections),
        ],
    }


def _per_class(
    table: ScoringTable, competition_ap: np.ndarray, coco_ap: np.ndarray
) -> dict[str, dict[str, Any]]:
    box_counts = np.bincount(table.class_index, minlength=len(table.category_ids))
    result = {}
    for index, name in enumerate(table.category_names):
        result[name] = {
            "competition_ap50": mean_or_none(competition_ap[index]),
            "ap": mean_or_none(coco_ap[0, :, index]),
            "ap50": mean_or_none(coco_ap[0, 0, index]),
            "ap75": mean_or_none(coco_ap[0, 5, index]),
            **{
                f"ap_{size}": mean_or_none(coco_ap[1 + place, :, index])
                for place, size in enumerate(AREA_NAMES[1:])
            },
            "truth_boxes": int(table.truth_count_of_class[index]),
            "boxes": int(box_counts[index]),
        }
    return result


def _intervals(
    competition: CompetitionMatcher, coco: CocoMatcher, samples: int, seed: int
) -> dict[str, Any]:
    if samples <= 0:
        return {}
    scorer = ImageScorer(competition, coco.all_sizes_only())
    values = scorer.values_on(image_samples(len(competition.image_ids), samples, seed))
    images = dict(zip(scorer.names, scorer.images_with_truth.tolist(), strict=True))
    of_name = dict(zip(scorer.names, values.T, strict=True))
    return {name: score_interval(of_name[name], images[name], seed=seed) for name in WITH_INTERVAL}


def _caps(table: ScoringTable, coco: CocoMatcher, max_detections: int) -> dict[str, Any]:
    """Return what was in force: limits of the metrics, and those that the boxes themselves show."""
    per_image = np.bincount(table.image_index, minlength=len(table.image_ids))
    return {
        "competition_iou_threshold": IOU_THRESHOLD,
        "coco_max_detections_per_class_and_image": max_detections,
        "coco_boxes_beyond_the_cap": coco.capped_boxes,
        "most_boxes_on_an_image": int(per_image.max(initial=0)),
        "images_with_that_many": int((per_image == per_image.max(initial=0)).sum()),
        "lowest_score": float(table.scores.min()) if len(table.scores) else None,
    }


def _notes(
    table: ScoringTable, truth: CocoDataset, coco: CocoMatcher, max_detections: int
) -> list[str]:
    notes = []
    if table.unknown_class_boxes:
        notes.append(
            f"{table.unknown_class_boxes} boxes have a label that the truth file does not list; "
            "neither metric counts them"
        )
    if table.truth_iscrowd.any():
        notes.append(
            f"{int(table.truth_iscrowd.sum())} truth boxes are crowds: COCO ignores them, the "
            "competition's metric takes them for ordinary boxes"
        )
    if truth.skipped:
        notes.append(
            f"{len(truth.skipped)} truth boxes without area were left out, the first on "
            f"{truth.skipped[0].file_name}; tools that keep them count misses"
        )
    if coco.capped_boxes:
        notes.append(f"{coco.capped_boxes} boxes are beyond COCO's cap of {max_detections}")
    if (table.truth_ids == 0).any():
        notes.append(_id_zero_note(table, max_detections))
    return notes


def _id_zero_note(table: ScoringTable, max_detections: int) -> str:
    matcher = CocoMatcher.from_table(table, max_detections=max_detections, id_zero_is_lost=False)
    found = summarize(matcher.average_precision())
    return (
        "the truth has an annotation with id 0, and pycocotools counts the box that finds it as a "
        "miss; so do the COCO figures here, to be everyone's. With ids from 1 they would be "
        + ", ".join(f"{key} {_six_digits(found[key])}" for key in ("map", "map50"))
    )


def _six_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"
