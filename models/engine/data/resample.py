"""Resizing that averages: bilinear interpolation alone skips pixels below half size."""

from __future__ import annotations

import cv2
import numpy as np


def resize(pixels: np.ndarray, new_wh: tuple[int, int]) -> np.ndarray:
    """Return an (H, W, 3) image at the size `new_wh`; itself where it has that size.

    Bilinear; an image shown at half size or less is averaged instead.
    """
    height, width = pixels.shape[:2]
    if (width, height) == new_wh:
        return pixels
    is_small = width >= 2 * new_wh[0] or height >= 2 * new_wh[1]
    return cv2.resize(
        pixels, new_wh, interpolation=cv2.INTER_AREA if is_small else cv2.INTER_LINEAR
    )


def whole_factor(scale: float) -> int:
    """Return the largest whole factor, at least 1, by which a shrunk image may be averaged."""
    return max(1, int(1 / max(scale, 1e-6) + 1e-6))


def average_down(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Return an (H, W, 3) image with blocks of factor x factor pixels averaged.

    Where a side is no multiple of the factor, the last row or column is repeated to fill its block,
    so the result has ceil(side / factor) pixels, like a JPEG file decoded at reduced size.
    """
    if factor == 1:
        return pixels
    height, width = pixels.shape[:2]
    below, right = -height % factor, -width % factor
    if below or right:
        pixels = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
    new_wh = (width + right) // factor, (height + below) // factor
    return cv2.resize(pixels, new_wh, interpolation=cv2.INTER_AREA)
