"""Measures of predicted boxes, in place of annotations that nobody has."""

from __future__ import annotations

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.coco.statistics import BoxMeasures, measures_of_boxes
from data_tools.predictions.table import Predictions


def predicted_measures(
    predictions: Predictions, test: CocoDataset, threshold: float
) -> BoxMeasures | None:
    """Return measures of the predicted boxes that reach a score; None if there are none."""
    keep = predictions.reaches(threshold)
    sides = predictions.boxes_xyxy[keep, 2:] - predictions.boxes_xyxy[keep, :2]
    positive = (sides > 0).all(axis=1)
    if not positive.any():
        return None
    image_ids = predictions.image_id_of_row[keep][positive].tolist()
    rows = np.array([test.index_of_image_id[image_id] for image_id in image_ids])
    widths, heights = sides[positive].astype(np.float64).T
    return measures_of_boxes(test, rows, predictions.labels[keep][positive], widths, heights)
