"""What changed between two submissions for the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import read_coco
from data_tools.predictions.formats.read import read_submission
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.table import Predictions

PARTNER_IOU = 0.5


def compare_files(
    before_file: str | Path,
    after_file: str | Path,
    images_file: str | Path,
    *,
    submission_format: SubmissionFormat,
) -> dict[str, Any]:
    """Compare two submission files; returns `compare` with the name of the earlier one."""
    dataset = read_coco(images_file)
    before, after = (
        read_submission(Path(path), dataset, submission_format)[0]
        for path in (before_file, after_file)
    )
    return {"against": str(before_file), **compare(before, after)}


def compare(before: Predictions, after: Predictions) -> dict[str, Any]:
    """Compare two tables of boxes for the same images.

    Each box of `after` is paired with the box of its image and label in `before` that overlaps it
    most, if their IoU is at least .5.

    Returns:
        `images`, `images_changed` (any box, score or order differs), `boxes_before`,
        `boxes_after`, `matched_boxes`, `mean_iou` and `score_rank_correlation` (Spearman) of the
        pairs; the last two are None without pairs, and the correlation where a side is constant.
    """
    from scoring.metrics.competition_kernels import best_truths

    group_before, group_after, group_count = _common_groups(before, after)
    order = np.argsort(group_before, kind="stable")
    partner, iou = best_truths(
        after.boxes_xyxy.astype(np.float32, copy=False),
        np.arange(len(after)),
        group_after,
        before.boxes_xyxy[order].astype(np.float64),
        order,
        np.concatenate([[0], np.cumsum(np.bincount(group_before, minlength=group_count))]),
    )
    paired = (partner >= 0) & (iou >= PARTNER_IOU)
    return {
        "images": len(after.image_ids),
        "images_changed": _changed_images(before, after),
        "boxes_before": len(before),
        "boxes_after": len(after),
        "matched_boxes": int(paired.sum()),
        "mean_iou": float(iou[paired].mean()) if paired.any() else None,
        "score_rank_correlation": _rank_correlation(
            before.scores[partner[paired]], after.scores[paired]
        ),
    }


def _common_groups(before: Predictions, after: Predictions) -> tuple[np.ndarray, np.ndarray, int]:
    labels = np.unique(np.concatenate([before.labels, after.labels]))
    groups = [
        table.image_index_of_row * len(labels) + np.searchsorted(labels, table.labels)
        for table in (before, after)
    ]
    return groups[0], groups[1], len(labels) * len(after.image_ids)


def _changed_images(before: Predictions, after: Predictions) -> int:
    changed = 0
    for index in range(len(after.image_ids)):
        old = slice(before.offsets[index], before.offsets[index + 1])
        new = slice(after.offsets[index], after.offsets[index + 1])
        same = all(
            np.array_equal(getattr(before, name)[old], getattr(after, name)[new])
            for name in ("labels", "scores", "boxes_xyxy")
        )
        changed += not same
    return changed


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    from scipy.stats import rankdata

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
