"""Pictures small enough to embed: JPEG data URIs of whole images and of crops."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

MAX_SIDE = 640
CROP_SIDE = 112
QUALITY = 78
# Context around a box in its crop, as a share of its longer side.
CROP_MARGIN = 0.25


def picture_uri(path: Path, max_side: int = MAX_SIDE) -> str | None:
    """Return an image as a JPEG data URI, its longer side at most `max_side`; None if unreadable.

    EXIF rotation is left alone: box coordinates belong to the pixels as stored.
    """
    picture = _open(path)
    if picture is None:
        return None
    picture.thumbnail((max_side, max_side))
    return _uri(picture)


def crop_uri(path: Path, box_xyxy: tuple[float, float, float, float]) -> str | None:
    """Return the surroundings of a box as a JPEG data URI; None if the image is unreadable."""
    picture = _open(path)
    if picture is None:
        return None
    xmin, ymin, xmax, ymax = box_xyxy
    margin = CROP_MARGIN * max(xmax - xmin, ymax - ymin) + 2
    area = (
        max(0, int(xmin - margin)),
        max(0, int(ymin - margin)),
        min(picture.width, int(xmax + margin) + 1),
        min(picture.height, int(ymax + margin) + 1),
    )
    if area[2] <= area[0] or area[3] <= area[1]:
        return None
    crop = picture.crop(area)
    crop.thumbnail((CROP_SIDE, CROP_SIDE))
    return _uri(crop)


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    # Pillow's decoders raise a wide set on broken files; SyntaxError is its "broken PNG".
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
