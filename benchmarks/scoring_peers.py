"""Other evaluators, prepared so that a call takes loaded boxes and returns figures."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions

Run = Callable[[], list[float]]


def map_boxes(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare map-boxes: arrays in, mAP50 out."""
    with contextlib.redirect_stdout(io.StringIO()):
        from map_boxes import mean_average_precision_for_boxes
    # Its tables: image, class, (score,) xmin, xmax, ymin, ymax.
    annotations = np.empty((len(truth.annotations), 6), dtype=object)
    annotations[:, 0], annotations[:, 1] = truth.annotation_image_ids, truth.labels
    annotations[:, 2:] = truth.boxes_xyxy[:, [0, 2, 1, 3]]
    detections = np.empty((len(table), 7), dtype=object)
    detections[:, 0], detections[:, 1] = table.image_id_of_row, table.labels
    detections[:, 2] = table.scores
    detections[:, 3:] = table.boxes_xyxy[:, [0, 2, 1, 3]]
    return lambda: [mean_average_precision_for_boxes(annotations, detections, verbose=False)[0]]


def pycocotools(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare pycocotools, loading excluded: evaluate, accumulate, summarize."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _coco_api(COCO, COCOeval, truth, table)


def faster_coco_eval(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare faster-coco-eval, loading excluded."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _coco_api(COCO, COCOeval_faster, truth, table)


def hotcoco(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare hotcoco, loading excluded."""
    import hotcoco as library

    loaded = library.COCO(truth.as_dict())
    evaluation = library.COCOeval(loaded, loaded.load_res(coco_results(table)), "bbox")
    return lambda: _silently(evaluation)


def coco_results(table: Predictions) -> list[dict[str, Any]]:
    """Return the boxes as COCO results."""
    boxes = table.boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    columns = (table.image_id_of_row.tolist(), table.labels.tolist(), boxes.tolist(),
               table.scores.tolist())  # fmt: skip
    return [{"image_id": image, "category_id": label, "bbox": bbox, "score": score}
            for image, label, bbox, score in zip(*columns, strict=True)]  # fmt: skip


def _coco_api(coco_class: Any, eval_class: Any, truth: CocoDataset, table: Predictions) -> Run:
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = coco_class()
        loaded.dataset = truth.as_dict()
        loaded.createIndex()
        evaluation = eval_class(loaded, loaded.loadRes(coco_results(table)), "bbox")
    return lambda: _silently(evaluation)


def _silently(evaluation: Any) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]
