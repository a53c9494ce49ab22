"""A dataset of two images and one box of each fate, for tests that count by hand."""

from __future__ import annotations

import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict
from data_tools.predictions.table import Predictions, predictions_from_rows

HIT = (1, 5, 0.9, (0, 0, 10, 10))
DOUBLE = (1, 5, 0.8, (0, 0, 10, 9))
WRONG_CLASS = (1, 5, 0.7, (50, 50, 70, 70))
NOWHERE = (2, 9, 0.6, (10, 10, 30, 30))


def two_images() -> CocoDataset:
    """Image 1 with a box of class 5 and one of class 9, image 2 with none."""
    boxes = [(5, [0, 0, 10, 10]), (9, [50, 50, 20, 20])]
    return coco_from_dict(
        {
            "images": [
                {"id": k, "file_name": f"{k}.jpg", "width": 100, "height": 100} for k in (1, 2)
            ],
            "categories": [{"id": 5, "name": "five"}, {"id": 9, "name": "nine"}],
            "annotations": [
                {"id": n + 1, "image_id": 1, "category_id": label, "bbox": box}
                for n, (label, box) in enumerate(boxes)
            ],
        }
    )


def boxes_of(truth: CocoDataset, rows: list[tuple]) -> Predictions:
    """Make predictions of rows (image id, label, score, box)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return predictions_from_rows(
        truth.image_ids, *(np.array(c) for c in columns[:3]), np.array(columns[3]).reshape(-1, 4)
    )
