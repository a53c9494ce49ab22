"""SSD's geometric augmentations: a wider canvas, and a crop that keeps boxes recognisable.

Both only choose a window in the coordinates of the image; pixels are resampled once, later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_tools.ground.boxes import iou_matrix

TRIES = 50
MAX_ASPECT = 2.0


@dataclass(frozen=True)
class Window:
    """A rectangle that becomes the training picture, in pixels of the image file.

    Attributes:
        xyxy: may reach beyond the image.
        box_mask: (n,) boxes that belong to the picture.
    """

    xyxy: tuple[int, int, int, int]
    box_mask: np.ndarray

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height."""
        return self.xyxy[2] - self.xyxy[0], self.xyxy[3] - self.xyxy[1]


def expanded_window(
    rng: np.random.Generator, size_wh: tuple[int, int], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Draw a canvas that contains the image somewhere, larger by a factor from `ratio`.

    Follows mmdet's `Expand`. Returns (xmin, ymin, xmax, ymax) in pixels of the image.
    """
    factor = rng.uniform(*ratio)
    canvas = [int(side * factor) for side in size_wh]
    left, top = (int(rng.uniform(0, side * factor - side)) for side in size_wh)
    return -left, -top, canvas[0] - left, canvas[1] - top


def min_iou_window(
    rng: np.random.Generator,
    boxes_xyxy: np.ndarray,
    window_xyxy: tuple[int, int, int, int],
    options: Mapping[str, Any],
) -> Window:
    """Draw a crop whose overlap with every box reaches a threshold drawn from `ious`.

    Follows mmdet's `MinIoURandomCrop`: one of the thresholds, no threshold, or no crop at all;
    aspect ratio between 1/2 and 2; boxes whose centre is inside belong to the crop, and there must
    be one (unless the image has none). Without a fitting crop in 50 tries, draw again.

    Args:
        rng: source of randomness.
        boxes_xyxy: (n, 4) pixels of the image.
        window_xyxy: what to crop from, in pixels of the image.
        options: `ious` and `min_size` (smallest side as a fraction) of the block `min_iou_crop`.
    """
    left, top, right, bottom = window_xyxy
    modes = (None, *options["ious"], 0.0)
    while True:
        threshold = modes[rng.integers(len(modes))]
        if threshold is None:
            return Window(window_xyxy, np.ones(len(boxes_xyxy), dtype=bool))
        crops = _candidates(rng, (right - left, bottom - top), options["min_size"])
        crops = crops + np.array([left, top, left, top])
        inside = _centres_inside(boxes_xyxy, crops)
        if len(boxes_xyxy):
            overlap = iou_matrix(crops, boxes_xyxy).min(axis=1)
            fits = (overlap >= threshold) & inside.any(axis=1)
            crops, inside = crops[fits], inside[fits]
        if len(crops):
            xmin, ymin, xmax, ymax = crops[0].tolist()
            return Window((xmin, ymin, xmax, ymax), inside[0])


def _candidates(rng: np.random.Generator, size_wh: tuple[int, int], min_size: float) -> np.ndarray:
    sides = rng.uniform(min_size, 1, (TRIES, 2)) * size_wh
    corners = rng.uniform(0, 1, (TRIES, 2)) * (np.array(size_wh) - sides)
    crops = np.concatenate([corners, corners + sides], axis=1).astype(np.int64)
    aspect = sides[:, 1] / sides[:, 0]
    upright = (aspect >= 1 / MAX_ASPECT) & (aspect <= MAX_ASPECT)
    return crops[upright & (crops[:, 2:] > crops[:, :2]).all(axis=1)]


def _centres_inside(boxes_xyxy: np.ndarray, crops_xyxy: np.ndarray) -> np.ndarray:
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    after = centres[None] > crops_xyxy[:, None, :2]
    before = centres[None] < crops_xyxy[:, None, 2:]
    return (after & before).all(axis=2)
