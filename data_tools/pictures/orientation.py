"""EXIF orientation: a picture's pixels as stored, and as programs show it; boxes in between.

The kit reads pixels as stored. Most annotation tools draw boxes on the picture as shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_TAG = 0x0112
UPRIGHT = 1
# Shown with width and height exchanged.
LYING = (5, 6, 7, 8)
TURN_PICTURES = (
    "python -m data_tools repair DATA --out NEW turns the pictures; "
    "changing `width` and `height` would leave every box wrong"
)

Size = tuple[int, int]


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) where there is none or no such value."""
    try:
        value = image.getexif().get(_TAG, UPRIGHT)
        return int(value) if 1 <= int(value) <= 8 else UPRIGHT
    # Of a broken EXIF block nothing is known; Pillow raises a wide set on them.
    except (OSError, ValueError, TypeError, SyntaxError, KeyError, OverflowError):
        return UPRIGHT


def shown_size(size_wh: Size, orientation: int) -> Size:
    """Return width and height as shown, of a picture stored with this size."""
    return (size_wh[1], size_wh[0]) if orientation in LYING else size_wh


def is_annotated_as_shown(annotated_wh: Size, stored_wh: Size, orientation: int) -> bool:
    """Say whether annotations state the size of the turned picture and not that of its pixels.

    Where both are the same, as of squares and of orientations 2 to 4, nothing can be told: False.
    """
    return annotated_wh != stored_wh and annotated_wh == shown_size(stored_wh, orientation)


def boxes_as_stored(boxes_xyxy: np.ndarray, orientation: int, stored_wh: Size) -> np.ndarray:
    """Return (N, 4) boxes of a picture as shown, moved to its pixels as stored.

    Args:
        boxes_xyxy: corners in the picture as shown.
        orientation: EXIF orientation, 1 to 8.
        stored_wh: width and height of the pixels as stored.
    """
    x = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)[:, 0::2]
    y = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)[:, 1::2]
    width, height = stored_wh
    # Where each shown point lies among the stored pixels.
    across, down = {
        1: (x, y),
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (y, height - x),
        7: (width - y, height - x),
        8: (width - y, x),
    }[orientation]
    return np.stack([across.min(1), down.min(1), across.max(1), down.max(1)], axis=1)
