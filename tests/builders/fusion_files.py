"""Small datasets and prediction files for the tests of the fusion commands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict, read_coco
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows

SIZES = [(100, 80), (60, 90), (100, 100)]


def dataset_dict(images: int = 3, truth: list[tuple] = ()) -> dict:
    """COCO with ids 10, 20, ..., classes 1 cat and 7 dog; truth rows: (image_id, label, xywh)."""
    return {
        "images": [
            {
                "id": 10 * (i + 1),
                "file_name": f"test/{i:04d}.jpg",
                "width": SIZES[i % 3][0],
                "height": SIZES[i % 3][1],
            }
            for i in range(images)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": image_id, "category_id": label, "bbox": list(box)}
            for n, (image_id, label, box) in enumerate(truth, start=1)
        ],
    }


def make_dataset(**options) -> CocoDataset:
    return coco_from_dict(dataset_dict(**options))


def make_member(dataset: CocoDataset, rows: list[tuple], **provenance) -> Predictions:
    """Rows are (image_id, label, score, xmin, ymin, xmax, ymax[, view])."""
    table = np.array([row[:7] for row in rows], dtype=float).reshape(-1, 7)
    return predictions_from_rows(
        dataset.image_ids,
        table[:, 0].astype(int),
        table[:, 1].astype(int),
        table[:, 2],
        table[:, 3:],
        views=np.array([row[7] if len(row) > 7 else 0 for row in rows], dtype=np.uint8),
        provenance=Provenance(dataset=dataset.fingerprint, **provenance),
    )


@dataclass
class Workspace:
    """A folder with a dataset and members, for commands."""

    root: Path
    rows: dict[str, list[tuple]] = field(default_factory=dict)

    def add_dataset(self, name: str = "test.json", **options) -> CocoDataset:
        path = self.root / name
        path.write_text(json.dumps(dataset_dict(**options)))
        return read_coco(path)

    def add_parquet(self, name: str, dataset: CocoDataset, rows: list[tuple], **provenance) -> str:
        path = self.root / name
        write_predictions(path, make_member(dataset, rows, **provenance))
        return str(path)

    def add_csv(self, name: str, lines: dict[str, str]) -> str:
        text = "PredictionString,image_id\n"
        text += "".join(f"{boxes},{image}\n" for image, boxes in lines.items())
        (self.root / name).write_text(text)
        return str(self.root / name)

    def add_coco_results(self, name: str, rows: list[dict]) -> str:
        (self.root / name).write_text(json.dumps(rows))
        return str(self.root / name)
