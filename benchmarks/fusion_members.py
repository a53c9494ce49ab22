"""Members for the fusion benchmark: real submissions, perturbed copies, drawn boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict
from data_tools.predictions.files import read_predictions
from data_tools.predictions.table import Predictions, predictions_from_rows

SUBMISSIONS = Path(__file__).resolve().parents[2] / "shared" / "data" / "submissions"
IMAGES, SIDE, CLASSES = 4871, 1024, 10


def make_dataset(images: int) -> CocoDataset:
    """Return images of the competition's size, numbered from 0."""
    return coco_from_dict(
        {
            "images": [
                {"id": i, "file_name": f"test/{i:04d}.jpg", "width": SIDE, "height": SIDE}
                for i in range(images)
            ],
            "categories": [{"id": i, "name": str(i)} for i in range(CLASSES)],
        }
    )


def load_originals(folder: Path, dataset: CocoDataset, images: int) -> list[Predictions]:
    """Return the real submissions, cut to the dataset's images, or drawn ones."""
    paths = sorted(folder.glob("*.csv.gz"))
    if not paths:
        print(f"no submissions in {folder}: boxes are drawn")
        return [drawn_member(dataset, seed) for seed in (0, 1)]
    whole = make_dataset(IMAGES)
    found = [read_predictions(path, whole) for path in paths]
    if images == IMAGES:
        return found
    return [first_images(predictions, images) for predictions in found]


def first_images(predictions: Predictions, images: int) -> Predictions:
    """Return the boxes of the first images."""
    end = int(predictions.offsets[images])
    return Predictions(
        image_ids=predictions.image_ids[:images],
        offsets=predictions.offsets[: images + 1],
        labels=predictions.labels[:end],
        scores=predictions.scores[:end],
        boxes_xyxy=predictions.boxes_xyxy[:end],
        row_order="file",
    )


def drawn_member(dataset: CocoDataset, seed: int) -> Predictions:
    """Return about 13 boxes per image around common centres."""
    rng = np.random.default_rng(99)
    centres = rng.uniform(100, 900, (len(dataset.images), 5, 2))
    rng = np.random.default_rng(seed)
    counts = rng.poisson(13, len(dataset.images))
    images = np.repeat(np.arange(len(counts)), counts)
    middle = centres[images, rng.integers(0, 5, len(images))] + rng.normal(0, 15, (len(images), 2))
    half = rng.uniform(20, 90, (len(images), 2))
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    labels = rng.integers(0, CLASSES, len(images))
    return predictions_from_rows(dataset.image_ids, images, labels, rng.random(len(images)), boxes)


def perturbed(predictions: Predictions, seed: int) -> Predictions:
    """Return a copy with corners moved by about 6 pixels and scores bent a little."""
    rng = np.random.default_rng(seed)
    corners = predictions.boxes_xyxy + rng.normal(0, 6, predictions.boxes_xyxy.shape)
    low = np.minimum(corners[:, :2], corners[:, 2:])
    high = np.maximum(corners[:, :2], corners[:, 2:])
    boxes = np.clip(np.concatenate([low, high], axis=1), 0, SIDE)
    # A power keeps scores in [0, 1] without making ties there: ensemble-boxes orders ties as an
    # unstable sort leaves them.
    scores = predictions.scores.astype(np.float64) ** rng.uniform(0.8, 1.25, len(predictions))
    return Predictions(
        image_ids=predictions.image_ids,
        offsets=predictions.offsets,
        labels=predictions.labels,
        scores=scores,
        boxes_xyxy=boxes,
        row_order="file",
    )


def make_members(originals: Sequence[Predictions], count: int) -> list[Predictions]:
    """Return the originals, then perturbed copies."""
    copies = range(len(originals), count)
    more = [perturbed(originals[number % len(originals)], number) for number in copies]
    return [*originals[:count], *more]


def tiled(predictions: Predictions, images: int) -> Predictions:
    """Return the predictions repeated until there are that many images."""
    own = len(predictions.image_ids)
    times = -(-images // own)
    counts = np.tile(np.diff(predictions.offsets), times)[:images]
    rows = int(counts.sum())
    return Predictions(
        image_ids=np.arange(images),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=np.tile(predictions.labels, times)[:rows],
        scores=np.tile(predictions.scores, times)[:rows],
        boxes_xyxy=np.tile(predictions.boxes_xyxy, (times, 1))[:rows],
        row_order="file",
    )
