"""What pictures look like in four numbers each: brightness, contrast, saturation, sharpness."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from data_tools.coco.statistics import largest_gap
from data_tools.ground.errors import UserError

MEASURES = ("brightness", "contrast", "saturation", "sharpness")
# All pictures are measured at this width: sharpness depends on it.
WIDTH_PX = 256


def measure_images(
    root: Path, file_names: Sequence[str], tick: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Return (I, 4) float64, one row per image, columns as in `MEASURES`; NaN where none decodes.

    Raises:
        UserError: an image is missing.
    """
    rows = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for row in pool.map(lambda name: measure_image(root / name), file_names):
            rows.append(row)
            tick()
    return np.array(rows, dtype=np.float64).reshape(-1, len(MEASURES))


def measure_image(path: Path) -> tuple[float, ...]:
    """Return brightness, contrast and saturation in [0, 1], and log sharpness, of one picture.

    They are NaN where it does not decode.
    """
    content = _read_bytes(path)
    try:
        # A half-size JPEG decode is exact enough for averages and half the time.
        picture = cv2.imdecode(content, cv2.IMREAD_REDUCED_COLOR_2) if len(content) else None
    except cv2.error:
        picture = None
    if picture is None:
        return (float("nan"),) * len(MEASURES)
    height = max(1, round(WIDTH_PX * picture.shape[0] / picture.shape[1]))
    picture = cv2.resize(picture, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    saturation = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)[..., 1]
    sharpness = np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var())
    return grey.mean() / 255, grey.std() / 255, saturation.mean() / 255, sharpness


def _read_bytes(path: Path) -> np.ndarray:
    try:
        return np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise UserError("the image does not exist", where=path, next_step="check --data") from None


def is_measured(measures: np.ndarray) -> np.ndarray:
    """Return (I,) whether each picture decoded."""
    return ~np.isnan(measures).any(axis=1)


def image_distance(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return the mean Kolmogorov-Smirnov distance of the four measures, 0 to 1.

    Pictures that do not decode are left out; None where none is left on one side.
    """
    first, second = first[is_measured(first)], second[is_measured(second)]
    if not len(first) or not len(second):
        return None
    gaps = [largest_gap(first[:, k], second[:, k]) for k in range(len(MEASURES))]
    return float(np.mean(gaps))
