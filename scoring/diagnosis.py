"""Where the points are lost: confusions, kinds of error, curves, thresholds, calibration.

Confusion matrix, error split and calibration are hotcoco's; curves and thresholds are of the hits
of the competition's metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.curves import best_thresholds, class_curves
from scoring.leaks import leak_report
from scoring.metrics.competition import CompetitionMatcher
from scoring.table import check_same_images, positions_of

if TYPE_CHECKING:
    import hotcoco

BACKGROUND = "background"
# What hotcoco calls the kinds of error of TIDE (Bolya et al., ECCV 2020), and what they mean.
ERROR_KINDS = {
    "Cls": "right place, wrong class",
    "Loc": "right class, badly placed",
    "Both": "wrong class and badly placed",
    "Dupe": "truth already found",
    "Bkg": "nothing there",
    "Miss": "truth not found",
}


def confusion_matrix(
    predictions: Predictions,
    truth: CocoDataset,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.3,
) -> dict[str, Any]:
    """Count which class each truth box was taken for.

    Args:
        predictions: boxes for exactly the images of `truth`.
        truth: the annotations.
        iou_threshold: overlap from which a box and a truth box are paired, whatever their class.
        score_threshold: weaker boxes are left out.

    Returns:
        `labels`, the class names in the order of the file and then "background"; `matrix`,
        (C + 1, C + 1) int64: rows are truth, columns predictions; the last column counts truth
        boxes that nothing was paired with, the last row boxes that were paired with nothing.
    """
    evaluation = _evaluation(predictions, truth)
    found = evaluation.confusion_matrix(
        iou_thr=iou_threshold, max_det=max(len(predictions), 1), min_score=score_threshold
    )
    order, _ = positions_of(truth.category_ids, np.array(found["cat_ids"], dtype=np.int64))
    order = np.append(order, len(order))
    return {
        "labels": [*truth.distinct_category_names, BACKGROUND],
        "matrix": found["matrix"].astype(np.int64)[np.ix_(order, order)],
        "iou_threshold": iou_threshold,
        "score_threshold": score_threshold,
    }


def error_split(
    predictions: Predictions, truth: CocoDataset, *, background_iou: float = 0.1
) -> dict[str, Any]:
    """Split the errors at IoU .5 by kind, with the AP50 that fixing each kind alone would win.

    Args:
        predictions: boxes for exactly the images of `truth`.
        truth: the annotations.
        background_iou: boxes that overlap every truth less than this found nothing.

    Returns:
        `ap50`, and by kind ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss") `counts` and
        `ap50_gain`; `meaning` says what each kind is. Kinds are TIDE's.
    """
    evaluation = _evaluation(predictions, truth)
    evaluation.evaluate()
    found = evaluation.tide_errors(pos_thr=0.5, bg_thr=background_iou)
    return {
        "ap50": float(found["ap_base"]),
        "counts": {kind: int(found["counts"][kind]) for kind in ERROR_KINDS},
        "ap50_gain": {kind: float(found["delta_ap"][kind]) for kind in ERROR_KINDS},
        "meaning": dict(ERROR_KINDS),
    }


def calibration(predictions: Predictions, truth: CocoDataset, *, bins: int = 10) -> dict[str, Any]:
    """Compare scores with how often boxes of that score are right at IoU .5.

    Args:
        predictions: boxes for exactly the images of `truth`.
        truth: the annotations.
        bins: number of equal steps of score.

    Returns:
        `expected_error` and `worst_error` (the mean and the largest gap between score and share of
        hits over the bins, the mean weighted by boxes), `bins` with `low`, `high`, `mean_score`,
        `hit_share` (None in an empty bin) and `boxes`, and `expected_error_of_class`.
    """
    evaluation = _evaluation(predictions, truth)
    evaluation.evaluate()
    found = evaluation.calibration(n_bins=bins, iou_threshold=0.5)
    return {
        "expected_error": float(found["ece"]),
        "worst_error": float(found["mce"]),
        "bins": [
            {
                "low": row["bin_lower"],
                "high": row["bin_upper"],
                "mean_score": row["avg_confidence"] if row["count"] else None,
                "hit_share": row["avg_accuracy"] if row["count"] else None,
                "boxes": int(row["count"]),
            }
            for row in found["bins"]
        ],
        "expected_error_of_class": {k: float(v) for k, v in found["per_category"].items()},
    }


def diagnose(
    predictions: Predictions, truth: CocoDataset, *, score_threshold: float = 0.3
) -> dict[str, Any]:
    """Return all of the above in one dict: `confusion`, `errors`, `curves`, `thresholds`,
    `calibration`, `leaked`.

    Raises:
        UserError: the predictions are for other images, or the truth has no boxes.
    """
    matcher = CompetitionMatcher.from_predictions(predictions, truth)
    curves = class_curves(matcher)
    return {
        "confusion": confusion_matrix(predictions, truth, score_threshold=score_threshold),
        "errors": error_split(predictions, truth),
        "curves": {
            curve.name: {
                "score": curve.scores.astype(np.float64),
                "precision": curve.precision,
                "recall": curve.recall,
            }
            for curve in curves
        },
        "thresholds": best_thresholds(curves),
        "calibration": calibration(predictions, truth),
        "leaked": leak_report(predictions.provenance, truth),
    }


def _evaluation(predictions: Predictions, truth: CocoDataset) -> hotcoco.COCOeval:
    import hotcoco

    check_same_images(predictions, truth)
    annotations = hotcoco.COCO.from_arrays(
        list(truth.images),
        list(truth.categories),
        truth.annotation_image_ids,
        truth.labels,
        truth.boxes_xywh,
        area=truth.annotation_areas,
        iscrowd=truth.iscrowd,
    )
    _, known = positions_of(predictions.labels, truth.category_ids)
    results = np.column_stack(
        [
            predictions.image_id_of_row[known],
            predictions.boxes_xyxy[known, :2],
            predictions.sides_wh[known],
            predictions.scores[known],
            predictions.labels[known],
        ]
    )
    return hotcoco.COCOeval(annotations, annotations.load_res(results), "bbox")
