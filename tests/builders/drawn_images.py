"""Small drawn datasets: image files on disk and the `CocoDataset` that describes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict


def draw_images(
    folder: Path,
    sizes_wh: Sequence[tuple[int, int]],
    *,
    boxes_per_image: int = 2,
    suffix: str = ".jpg",
    extra: dict[str, Any] | None = None,
) -> CocoDataset:
    """Write one noisy picture per size, file names `0.jpg`, ids from 100, category ids 3 and 7."""
    rng = np.random.default_rng(7)
    images, annotations = [], []
    for number, (width, height) in enumerate(sizes_wh):
        rough = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}{suffix}"), cv2.resize(rough, (width, height)))
        images.append(
            {"id": 100 + number, "file_name": f"{number}{suffix}", "width": width, "height": height}
        )
        for box in range(boxes_per_image):
            corner = rng.uniform(0, 0.5, 2) * (width, height)
            side = rng.uniform(0.2, 0.5, 2) * (width, height)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": 100 + number,
                    "category_id": (3, 7)[box % 2],
                    "bbox": [*corner.tolist(), *side.tolist()],
                    **(extra or {}),
                }
            )
    categories = [{"id": 3, "name": "can"}, {"id": 7, "name": "bag"}]
    return coco_from_dict({"images": images, "annotations": annotations, "categories": categories})
