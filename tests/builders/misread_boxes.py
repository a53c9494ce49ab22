"""Twenty boxes on an image, and files that hold them with each other's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import write_coco
from tests.builders.scoring_cases import dataset

BEGINS = np.arange(30.0, 50.0)
BOXES_XYWH = np.stack([BEGINS, BEGINS, np.full(20, 40.0), np.full(20, 30.0)], axis=1)
BOXES_XYXY = np.concatenate([BOXES_XYWH[:, :2], BOXES_XYWH[:, :2] + BOXES_XYWH[:, 2:]], axis=1)


def write_misread_files(folder: Path) -> Path:
    """Write sides.csv and corners.json; return their truth, the first and the last of the boxes."""
    truth = dataset(1, [(1, 1, BOXES_XYWH[place].tolist()) for place in (0, -1)])
    write_coco(folder / "val.json", truth)
    write_coco(folder / "test.json", dataset(1))
    numbers = " ".join(
        f"1 {0.99 - place / 100:g} {x:g} {y:g} {w:g} {h:g}"
        for place, (x, y, w, h) in enumerate(BOXES_XYWH)
    )
    (folder / "sides.csv").write_text(f"PredictionString,image_id\n{numbers} ,test/0001.jpg\n")
    results = [
        {"image_id": 1, "category_id": 1, "bbox": box.tolist(), "score": 0.99 - place / 100}
        for place, box in enumerate(BOXES_XYXY)
    ]
    (folder / "corners.json").write_text(json.dumps(results))
    return folder / "val.json"
