"""The boxes that the competition's metric and COCO's AP50 judge differently, and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.metrics.coco import CocoMatcher
from scoring.metrics.coco_kernels import HIT, MISS
from scoring.metrics.competition import CompetitionMatcher
from scoring.table import ScoringTable, scoring_table

NOT_COUNTED, CAPPED = "not counted", "beyond the cap"
OUTCOME_NAMES = ("miss", "hit", "ignored")


def disagreements(predictions: Predictions, truth: CocoDataset) -> list[dict[str, Any]]:
    """Return the boxes whose outcome at IoU .5 differs between the two metrics, best score first.

    Args:
        predictions: boxes for exactly the images of `truth`.
        truth: the annotations.

    Returns:
        One JSON object per box: `image`, `row` (in the predictions), `class`, `score`, `box`
        (xyxy pixels), `competition` and `coco` ("hit", "miss", "ignored", "not counted" or
        "beyond the cap") and `reason`. Boxes of classes without truth count in neither metric and
        are not listed.
    """
    table = scoring_table(predictions, truth)
    competition = CompetitionMatcher.from_table(table)
    coco = CocoMatcher.from_table(table)
    ours, theirs = _competition_outcome(table, competition), _coco_outcome(table, coco)
    has_truth = table.truth_count_of_class[table.class_index] > 0
    best_truth = np.full(len(predictions), -1, dtype=np.int64)
    best_truth[competition.rows] = competition.best_truth
    differing = np.flatnonzero((ours != theirs) & has_truth)
    differing = differing[np.argsort(-table.scores[differing], kind="stable")]
    file_name_of_id = {image["id"]: image["file_name"] for image in truth.images}
    return [
        {
            "image": file_name_of_id[int(table.image_ids[table.image_index[box]])],
            "row": int(table.rows[box]),
            "class": table.category_names[table.class_index[box]],
            "score": float(table.scores[box]),
            "box": [float(value) for value in table.boxes_xyxy[box]],
            "competition": str(ours[box]),
            "coco": str(theirs[box]),
            "reason": _reason(
                str(ours[box]), str(theirs[box]), int(best_truth[table.rows[box]]), table
            ),
        }
        for box in differing.tolist()
    ]


def count_reasons(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many boxes differ for each reason, the most frequent first."""
    return dict(Counter(row["reason"] for row in rows).most_common())


def _competition_outcome(table: ScoringTable, matcher: CompetitionMatcher) -> np.ndarray:
    outcome = np.full(int(table.rows.max(initial=-1)) + 1, NOT_COUNTED, dtype=object)
    outcome[matcher.rows] = np.where(matcher.true_positives(), "hit", "miss")
    return outcome[table.rows]


def _coco_outcome(table: ScoringTable, matcher: CocoMatcher) -> np.ndarray:
    outcome = np.full(int(table.rows.max(initial=-1)) + 1, CAPPED, dtype=object)
    outcome[matcher.rows] = np.array(OUTCOME_NAMES, dtype=object)[matcher.outcome[0, 0]]
    return outcome[table.rows]


def _reason(competition: str, coco: str, best_truth: int, table: ScoringTable) -> str:
    if competition == NOT_COUNTED:
        return "its image has no truth: COCO counts a miss, the competition nothing"
    if coco == CAPPED:
        return "beyond COCO's cap per class and image"
    if coco == OUTCOME_NAMES[2] or (best_truth >= 0 and table.truth_iscrowd[best_truth]):
        return "crowd truth: COCO ignores it, the competition takes it for an ordinary box"
    if best_truth >= 0 and table.truth_ids[best_truth] == 0 and coco == OUTCOME_NAMES[MISS]:
        return "annotation id 0: pycocotools counts the box that finds it as a miss"
    if competition == "miss" and coco == OUTCOME_NAMES[HIT]:
        return "its best truth was taken: COCO gave it another, or it came before in score"
    return "another box took its truth in COCO, which goes by score and gives taken boxes the next"
