"""Box arithmetic on arrays; `xyxy` is (xmin, ymin, xmax, ymax), `xywh` is COCO's (x, y, w, h)."""

from __future__ import annotations

import numpy as np


def xywh_to_xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    """Return a new (N, 4) array of corners from COCO boxes, in the same dtype."""
    boxes_xyxy = np.array(boxes_xywh, copy=True).reshape(-1, 4)
    boxes_xyxy[:, 2:] += boxes_xyxy[:, :2]
    return boxes_xyxy


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return a new (N, 4) array of COCO boxes from corners, in the same dtype."""
    boxes_xywh = np.array(boxes_xyxy, copy=True).reshape(-1, 4)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    return boxes_xywh


def box_areas(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return the (N,) areas in square pixels; a box turned inside out has area 0."""
    boxes_xyxy = np.asarray(boxes_xyxy).reshape(-1, 4)
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def clip_boxes(boxes_xyxy: np.ndarray, size_wh: np.ndarray | tuple[int, int]) -> np.ndarray:
    """Return boxes clipped to the image.

    Args:
        boxes_xyxy: (N, 4) pixels.
        size_wh: one (width, height), or (N, 2) with the size of each box's image.
    """
    boxes_xyxy = np.asarray(boxes_xyxy).reshape(-1, 4)
    sizes = np.broadcast_to(np.asarray(size_wh), (len(boxes_xyxy), 2))
    limits = np.concatenate([sizes, sizes], axis=1)
    return np.clip(boxes_xyxy, 0, limits).astype(boxes_xyxy.dtype, copy=False)


def has_positive_area(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return an (N,) mask of the boxes with finite corners, width > 0 and height > 0."""
    boxes_xyxy = np.asarray(boxes_xyxy).reshape(-1, 4)
    positive = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)
    return positive & np.isfinite(boxes_xyxy).all(axis=1)


def iou_matrix(boxes_xyxy: np.ndarray, other_boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return the (N, M) intersection over union in float64; 0 where the union is empty."""
    first = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    second = np.asarray(other_boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    intersection = sides[..., 0] * sides[..., 1]
    union = box_areas(first)[:, None] + box_areas(second)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
