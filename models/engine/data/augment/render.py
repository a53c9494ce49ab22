"""Layers of decoded images onto one canvas of the training size; boxes go the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from data_tools.ground.boxes import box_areas
from models.engine.data.decode import Picture
from models.engine.data.geometry import clip_and_keep, scaling, transform_boxes, translation
from models.engine.data.resample import average_down, resize, whole_factor


@dataclass(frozen=True)
class Layer:
    """One image's place on the canvas.

    Attributes:
        index: position of the image in the dataset.
        matrix: (3, 3), from pixels of the image file to pixels of the canvas.
        visible_xyxy: part of the image file that may show.
        decode_scale: size at which the file is decoded, relative to the file.
        box_mask: (n,) which of the image's boxes take part; None means all.
        resized_xywh: left, top, width, height on the canvas, where the whole image lands upright
            on whole pixels; None where it is warped.
    """

    index: int
    matrix: np.ndarray
    visible_xyxy: tuple[float, float, float, float]
    decode_scale: float
    box_mask: np.ndarray | None = None
    resized_xywh: tuple[int, int, int, int] | None = None

    @classmethod
    def resized(
        cls,
        index: int,
        size_wh: tuple[int, int],
        corner_xy: tuple[int, int],
        new_wh: tuple[int, int],
    ) -> Layer:
        """Return the layer of a whole image, resized and put at a corner.

        Args:
            index: position in the dataset.
            size_wh: size in the file.
            corner_xy: left and top on the canvas; may be negative.
            new_wh: size on the canvas.
        """
        factor = new_wh[0] / size_wh[0], new_wh[1] / size_wh[1]
        matrix = translation(*corner_xy) @ scaling(*factor)
        place = (*corner_xy, *new_wh)
        return cls(index, matrix, (0, 0, *size_wh), max(factor), resized_xywh=place)

    def region(self, canvas_wh: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the whole canvas pixels (xmin, ymin, xmax, ymax) that the layer may touch."""
        corners = transform_boxes(np.array([self.visible_xyxy]), self.matrix)[0]
        xmin, ymin = np.floor(corners[:2] + 1e-6)
        xmax, ymax = np.ceil(corners[2:] - 1e-6)
        width, height = canvas_wh
        clipped = max(xmin, 0), max(ymin, 0), min(xmax, width), min(ymax, height)
        return int(clipped[0]), int(clipped[1]), int(clipped[2]), int(clipped[3])

    def is_seen(self, canvas_wh: tuple[int, int]) -> bool:
        """Return whether the layer touches any pixel of the canvas; if not, it need not be read."""
        xmin, ymin, xmax, ymax = self.region(canvas_wh)
        return xmin < xmax and ymin < ymax


def new_canvas(size_wh: tuple[int, int], fill_bgr: Sequence[int]) -> np.ndarray:
    """Return an (H, W, 3) uint8 image of one colour."""
    width, height = size_wh
    canvas = np.empty((height, width, 3), dtype=np.uint8)
    # Row by row: NumPy would otherwise copy three bytes at a time.
    canvas[:] = np.tile(np.array(fill_bgr, dtype=np.uint8), width).reshape(1, width, 3)
    return canvas


def paint(canvas: np.ndarray, picture: Picture, layer: Layer) -> np.ndarray:
    """Draw a layer onto the canvas, in place, with bilinear interpolation.

    Returns:
        The canvas, or, where the layer covers all of it, the resized picture itself (possibly the
        cache's read-only array), which saves filling and copying.
    """
    height, width = canvas.shape[:2]
    xmin, ymin, xmax, ymax = region = layer.region((width, height))
    if xmin >= xmax or ymin >= ymax:
        return canvas
    if layer.resized_xywh is None:
        _warp(canvas, picture, layer, region)
        return canvas
    left, top, *new_wh = layer.resized_xywh
    pixels = resize(picture.pixels, (new_wh[0], new_wh[1]))
    if layer.resized_xywh == (0, 0, width, height):
        return pixels
    canvas[ymin:ymax, xmin:xmax] = pixels[ymin - top : ymax - top, xmin - left : xmax - left]
    return canvas


def place_boxes(
    boxes_xyxy: np.ndarray,
    layer: Layer,
    canvas_wh: tuple[int, int],
    *,
    min_box_px: float,
    min_visible: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Carry an image's boxes onto the canvas.

    Args:
        boxes_xyxy: (n, 4) pixels of the image file.
        layer: the image's place.
        canvas_wh: size of the canvas.
        min_box_px: smallest side that is kept.
        min_visible: smallest visible part of a box's area that is kept.

    Returns:
        (n, 4) boxes clipped to the canvas, and an (n,) mask of those to keep.
    """
    low, high = layer.visible_xyxy[:2], layer.visible_xyxy[2:]
    limits = np.array([*low, *low]), np.array([*high, *high])
    seen = np.clip(boxes_xyxy, *limits).astype(boxes_xyxy.dtype)
    boxes, keep = clip_and_keep(
        transform_boxes(seen, layer.matrix), canvas_wh, min_box_px=min_box_px
    )
    if min_visible > 0:
        full = transform_boxes(boxes_xyxy, layer.matrix)
        keep &= box_areas(boxes) >= min_visible * box_areas(full)
    keep &= (seen[:, 2:] > seen[:, :2]).all(axis=1)
    if layer.box_mask is not None:
        keep &= layer.box_mask
    return boxes, keep


def _warp(
    canvas: np.ndarray, picture: Picture, layer: Layer, region: tuple[int, int, int, int]
) -> None:
    pixels, to_file = _cropped(picture, layer.visible_xyxy)
    matrix = layer.matrix @ to_file
    pixels, matrix = _averaged(pixels, matrix)
    xmin, ymin, xmax, ymax = region
    # OpenCV counts from pixel centres.
    centred = translation(-xmin - 0.5, -ymin - 0.5) @ matrix @ translation(0.5, 0.5)
    cv2.warpAffine(
        pixels,
        centred[:2],
        (xmax - xmin, ymax - ymin),
        dst=canvas[ymin:ymax, xmin:xmax],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def _averaged(pixels: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average pixels that will be shown at half size or less, and adapt the matrix."""
    factor = whole_factor(float(np.sqrt(abs(np.linalg.det(matrix)))))
    return average_down(pixels, factor), matrix @ scaling(factor, factor)


def _cropped(
    picture: Picture, visible_xyxy: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the visible pixels and the matrix from them to pixels of the file."""
    height, width = picture.pixels.shape[:2]
    low = np.floor(np.array(visible_xyxy[:2]) / picture.reduction + 1e-6)
    high = np.ceil(np.array(visible_xyxy[2:]) / picture.reduction - 1e-6)
    left, top = np.clip(low, 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(high, (left + 1, top + 1), (width, height)).astype(int).tolist()
    to_file = scaling(picture.reduction, picture.reduction) @ translation(left, top)
    return picture.pixels[top:bottom, left:right], to_file
