"""Truth and boxes to measure scoring on: the real ones where they are, else random ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict, read_coco
from data_tools.predictions.files import read_predictions
from data_tools.predictions.table import Predictions, predictions_from_rows

COPIES = 6
QUICK_IMAGES = 300


def scenes(real_data: Path, *, quick: bool) -> Iterator[tuple[str, CocoDataset, Predictions]]:
    """Yield the name, the truth and the boxes of each scene.

    The first has six noisy copies of each truth box, as many a member of an ensemble finds; the
    second, where the real files are, the boxes of two real submissions, test image i laid on train
    image i: their spread over images and classes is real, but they hit little.

    Args:
        real_data: folder of the real files; random truth of the same size is drawn without it.
        quick: only the first three hundred images.
    """
    is_real = (real_data / "recycle_train.json.gz").is_file()
    truth = (
        read_coco(real_data / "recycle_train.json.gz") if is_real else random_truth(4883, 23_144)
    )
    # pycocotools loses the box that finds annotation id 0; count from 1 as COCO does.
    numbered = ({**box, "id": place} for place, box in enumerate(truth.annotations, 1))
    truth = replace(truth, annotations=tuple(numbered))
    count = QUICK_IMAGES if quick else len(truth.images)
    noisy = noisy_rows(truth, COPIES * len(truth.annotations))
    yield (f"noisy copies of {'the real' if is_real else 'random'} truth",
           *first_images(truth, noisy, count))  # fmt: skip
    if is_real:
        rows = submission_rows(truth, real_data / "submissions")
        yield "boxes of two real submissions", *first_images(truth, rows, count)


def first_images(
    truth: CocoDataset, rows: tuple[np.ndarray, ...], count: int
) -> tuple[CocoDataset, Predictions]:
    """Return the first images of both, the rows as `Predictions`."""
    truth = truth.subset(truth.image_ids[:count])
    keep = np.isin(rows[0], truth.image_ids)
    return truth, predictions_from_rows(truth.image_ids, *(column[keep] for column in rows))


def submission_rows(truth: CocoDataset, folder: Path) -> tuple[np.ndarray, ...]:
    """Return the boxes of the real submissions, test image i laid on train image i."""
    images = [
        {"id": int(image_id), "file_name": f"test/{place:04d}.jpg", "width": 1024, "height": 1024}
        for place, image_id in enumerate(truth.image_ids[:4871])
    ]
    test = coco_from_dict({"images": images})
    tables = [read_predictions(path, test) for path in sorted(folder.glob("*.csv.gz"))]
    columns = [(t.image_id_of_row, t.labels, t.scores, t.boxes_xyxy) for t in tables]
    return tuple(np.concatenate(parts) for parts in zip(*columns, strict=True))


def noisy_rows(truth: CocoDataset, count: int) -> tuple[np.ndarray, ...]:
    """Return `count` boxes near truth boxes, so that there is something to hit."""
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, len(truth.annotations), count)
    sides = truth.boxes_xywh[chosen][:, [2, 3, 2, 3]]
    boxes = truth.boxes_xyxy[chosen] + generator.normal(0, 0.08, (count, 4)) * sides
    boxes = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    return truth.annotation_image_ids[chosen], truth.labels[chosen], generator.random(count), boxes


def random_truth(image_count: int, box_count: int) -> CocoDataset:
    """Return random boxes of ten classes on images of 1024 px."""
    generator = np.random.default_rng(0)
    sides = np.exp(generator.normal(5.2, 0.9, (box_count, 2))).clip(20, 900)
    corners = generator.random((box_count, 2)) * (1024 - sides)
    annotations = [
        {"id": place + 1, "image_id": int(image), "category_id": int(label), "bbox": bbox.tolist()}
        for place, (image, label, bbox) in enumerate(zip(
            generator.integers(0, image_count, box_count), generator.integers(0, 10, box_count),
            np.concatenate([corners, sides], axis=1), strict=True))
    ]  # fmt: skip
    return coco_from_dict({
        "images": [{"id": n, "file_name": f"train/{n:04d}.jpg", "width": 1024, "height": 1024}
                   for n in range(image_count)],
        "annotations": annotations,
        "categories": [{"id": n, "name": str(n)} for n in range(10)],
    })  # fmt: skip
