"""A dataset of a dozen small pictures and the smallest detectors, for the tests of training."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console

from data_tools.coco.dataset import CocoDataset, write_coco
from data_tools.ground.paths import RunPaths
from models.engine.runs.request import TrainRequest

CATEGORIES = ({"id": 3, "name": "red"}, {"id": 7, "name": "green"})
COLOURS_BGR = {3: (40, 40, 220), 7: (40, 220, 40)}

# YOLOX with an eighth of the usual width: a step takes a tenth of a second on one core.
TINY_YOLOX = (
    "image_size_wh=[64,64]",
    "repeat=1",
    "architecture.backbone.widen_factor=0.125",
    "architecture.neck.in_channels=[32,64,128]",
    "architecture.neck.out_channels=32",
    "architecture.bbox_head.in_channels=32",
    "architecture.bbox_head.feat_channels=32",
    "schedule.warmup_iterations=2",
    "log.every_steps=1",
)


def write_tiny_data(root: Path, *, train_images: int = 12, val_images: int = 4) -> None:
    """Write `data/` with its images and `work/folds/` with fold 0 into `root`."""
    rng = np.random.default_rng(0)
    images = [
        _write_image(root / "data", "train", i, rng) for i in range(train_images + val_images)
    ]
    test_images = [_write_image(root / "data", "test", i, rng)[0] for i in range(3)]
    folds = root / "work" / "folds"
    write_coco(root / "data" / "train.json", _dataset(images))
    write_coco(root / "data" / "test.json", CocoDataset(tuple(test_images), (), CATEGORIES))
    write_coco(folds / "train_0.json", _dataset(images[:train_images]))
    write_coco(folds / "val_0.json", _dataset(images[train_images:]))


def _write_image(
    data: Path, split: str, number: int, rng: np.random.Generator
) -> tuple[dict, list[dict]]:
    width, height = (80, 64) if number % 2 else (64, 72)
    picture = rng.integers(90, 150, (height, width, 3), dtype=np.uint8)
    annotations = []
    for category in (3, 7)[: 1 + number % 2]:
        x, y = (int(v) for v in rng.integers(2, 30, 2))
        w, h = (int(v) for v in rng.integers(14, 30, 2))
        cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), COLOURS_BGR[category], -1)
        annotations.append({"category_id": category, "bbox": [x, y, w, h]})
    name = f"{split}/{number:04d}.png"
    (data / split).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(data / name), picture)
    image = {"id": 100 + number, "file_name": name, "width": width, "height": height}
    return image, annotations


def _dataset(images: list[tuple[dict, list[dict]]]) -> CocoDataset:
    boxes = [
        {"id": 0, "image_id": image["id"], "iscrowd": 0, "area": 1.0, **box}
        for image, annotations in images
        for box in annotations
    ]
    numbered = tuple({**box, "id": number} for number, box in enumerate(boxes, 1))
    return CocoDataset(tuple(image for image, _ in images), numbered, CATEGORIES)


def tiny_request(root: Path, *overrides: str, **options: object) -> TrainRequest:
    """Return a request that trains the tiny YOLOX for two epochs of three steps."""
    defaults = {
        "model": "yolox",
        "data_root": root / "data",
        "work_root": root / "work",
        "fold": 0,
        "scale": "smoke",
        "epochs": 2,
        "batch_size": 4,
        "workers": 0,
        "device": "cpu",
        "command": "python -m models train yolox",
    }
    chosen = {**defaults, **options}
    return TrainRequest(**chosen, overrides=(*TINY_YOLOX, *overrides))


def quiet_console() -> Console:
    """Return a console that writes into memory; `console.file.getvalue()` is what was said."""
    return Console(file=io.StringIO(), width=200)


def train_tiny_yolox(root: Path) -> RunPaths:
    """Write the data into `root`, train the tiny YOLOX for one epoch, return its run folder."""
    from models.train import train

    torch.set_num_threads(1)
    write_tiny_data(root)
    train(tiny_request(root, epochs=1), quiet_console())
    return RunPaths(root / "work" / "runs" / "yolox" / "fold0")
