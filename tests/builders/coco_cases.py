"""Small COCO objects and datasets on disk for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict


def image(image_id: int, *, name: str | None = None, width: int = 100, height: int = 80) -> dict:
    return {
        "id": image_id,
        "file_name": name or f"train/{image_id:04d}.jpg",
        "width": width,
        "height": height,
    }


def box(box_id: int, image_id: int, category_id: int, bbox: list[float]) -> dict:
    return {"id": box_id, "image_id": image_id, "category_id": category_id, "bbox": bbox}


def coco_dict(
    images: list[dict], annotations: list[dict] = (), names: dict[int, str] | None = None
) -> dict[str, Any]:
    names = names or {3: "can", 7: "bag"}
    return {
        "images": images,
        "annotations": list(annotations),
        "categories": [{"id": key, "name": name} for key, name in names.items()],
    }


def random_coco(
    rng: np.random.Generator,
    images: int,
    *,
    classes: int = 4,
    most_boxes: int = 6,
    fewest_boxes: int = 0,
    id_step: int = 3,
) -> CocoDataset:
    """Images with ids that are neither contiguous nor in order, some without boxes."""
    ids = rng.permutation(images) * id_step + 5
    annotations = []
    for image_id in ids.tolist():
        for _ in range(int(rng.integers(fewest_boxes, most_boxes + 1))):
            left, top = rng.uniform(0, 60), rng.uniform(0, 40)
            size = rng.uniform(1, 40, 2).tolist()
            label = int(rng.integers(classes)) * 10
            annotations.append(box(len(annotations), image_id, label, [left, top, *size]))
    names = {label * 10: f"class {label}" for label in range(classes)}
    return coco_from_dict(coco_dict([image(i) for i in ids.tolist()], annotations, names))


def write_images(root: Path, dataset: CocoDataset, seed: int = 0) -> None:
    """Write a different picture for each image of a dataset."""
    rng = np.random.default_rng(seed)
    for entry in dataset.images:
        coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        size_wh = (entry["width"], entry["height"])
        picture = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC)
        path = root / entry["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def write_dict(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
