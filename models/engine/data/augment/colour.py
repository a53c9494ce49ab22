"""Changes of colour: YOLOX's HSV shift and SSD's photometric distortion; images in, images out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np


def shift_hsv(pixels_bgr: np.ndarray, shifts_hsv: np.ndarray) -> np.ndarray:
    """Add to hue (turning, of 180), saturation and value (both clipped to 0..255).

    Same values as mmdet's `YOLOXHSVRandomAug`, through three lookup tables.

    Args:
        pixels_bgr: (H, W, 3) uint8.
        shifts_hsv: three whole numbers.
    """
    if not np.any(shifts_hsv):
        return pixels_bgr
    levels = np.arange(256)
    tables = np.empty((1, 256, 3), dtype=np.uint8)
    tables[0, :, 0] = (levels + shifts_hsv[0]) % 180
    tables[0, :, 1] = np.clip(levels + shifts_hsv[1], 0, 255)
    tables[0, :, 2] = np.clip(levels + shifts_hsv[2], 0, 255)
    hsv = cv2.LUT(cv2.cvtColor(pixels_bgr, cv2.COLOR_BGR2HSV), tables)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def draw_hsv_shifts(rng: np.random.Generator, options: Mapping[str, Any]) -> np.ndarray:
    """Draw (3,) int64 shifts up to `hue`, `saturation`, `value`; each is left out half the time."""
    limits = np.array([options["hue"], options["saturation"], options["value"]])
    return (rng.uniform(-1, 1, 3) * limits * rng.integers(0, 2, 3)).astype(np.int64)


def distort(
    pixels_bgr: np.ndarray,
    *,
    brightness: float = 0.0,
    contrast: float = 1.0,
    contrast_first: bool = True,
    saturation: float = 1.0,
    hue_degrees: float = 0.0,
    channel_order: tuple[int, int, int] = (0, 1, 2),
) -> np.ndarray:
    """Change brightness, contrast, saturation, hue and the order of channels.

    The steps of mmdet's `PhotoMetricDistortion` in its order, in float32; the result is rounded
    and clipped to uint8, where mmdet hands over floats that may leave 0..255.

    Args:
        pixels_bgr: (H, W, 3) uint8.
        brightness: added to all channels.
        contrast: factor of all channels, before the change of colour or after it.
        contrast_first: which of the two.
        saturation: factor.
        hue_degrees: added, of 360.
        channel_order: new order of the channels.
    """
    pixels: np.ndarray = pixels_bgr.astype(np.float32) + np.float32(brightness)
    if contrast_first:
        pixels *= np.float32(contrast)
    if saturation != 1 or hue_degrees:
        hsv: np.ndarray = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
        hsv[..., 1] *= np.float32(saturation)
        if saturation > 1:
            hsv[..., 1].clip(0, 1, out=hsv[..., 1])
        hsv[..., 0] = (hsv[..., 0] + np.float32(hue_degrees)) % 360
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if not contrast_first:
        pixels *= np.float32(contrast)
    if channel_order != (0, 1, 2):
        pixels = pixels[..., list(channel_order)]
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def draw_distortion(rng: np.random.Generator, options: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the arguments of `distort`; each change happens half the time."""
    happens = rng.integers(0, 2, 5).astype(bool)
    brightness = rng.uniform(-1, 1) * options["brightness"]
    contrast, saturation = rng.uniform(*options["contrast"]), rng.uniform(*options["saturation"])
    hue = rng.uniform(-1, 1) * options["hue_degrees"]
    order = rng.permutation(3).tolist()
    return {
        "contrast_first": bool(rng.integers(0, 2)),
        "brightness": brightness if happens[0] else 0.0,
        "contrast": contrast if happens[1] else 1.0,
        "saturation": saturation if happens[2] else 1.0,
        "hue_degrees": hue if happens[3] else 0.0,
        "channel_order": tuple(order) if happens[4] else (0, 1, 2),
    }
