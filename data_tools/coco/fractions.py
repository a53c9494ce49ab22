"""Boxes that look like fractions of the image where pixels are expected."""

from __future__ import annotations

import numpy as np

# Fractions end at 1; annotation tools and detectors pass the edge a little.
LARGEST_FRACTION = 2.0
# In an image this small a box of pixels ends as near to the corner.
SMALLEST_SIDE_PX = 8


def look_like_fractions(boxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> bool:
    """Say whether boxes look normalised: all end within two units of the corner of their image.

    One box of pixels that lies elsewhere is enough for a no. Boxes in whole numbers only are taken
    for pixels, and so are those of images below eight pixels: nothing can be told from them.

    Args:
        boxes_xyxy: (N, 4) corners, finite.
        sizes_wh: (N, 2) width and height of each box's image in pixels, or one pair for all.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    if not len(boxes) or (np.abs(boxes) > LARGEST_FRACTION).any():
        return False
    is_large = np.min(np.asarray(sizes_wh)) >= SMALLEST_SIDE_PX
    return bool(is_large) and bool((boxes != np.round(boxes)).any())
