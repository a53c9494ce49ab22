"""Where pixels and boxes go: sizes, 3x3 matrices in continuous pixel coordinates, filtering.

A coordinate of 0 is the left edge of the first pixel and the width is the right edge of the last,
the convention of COCO boxes. Matrices map column vectors (x, y, 1).
"""

from __future__ import annotations

import numpy as np

from data_tools.ground.boxes import clip_boxes


def fitted_size(
    size_wh: tuple[int, int], target_wh: tuple[int, int], *, keep_ratio: bool = True
) -> tuple[int, int]:
    """Return the size at which an image fits inside the target, at least 1 x 1.

    Args:
        size_wh: width and height of the image.
        target_wh: width and height to fit into.
        keep_ratio: whether the aspect ratio is kept; otherwise the target itself is returned.
    """
    if not keep_ratio:
        return target_wh
    scale = fit_scale(size_wh, target_wh)
    width, height = (max(1, int(side * scale + 0.5)) for side in size_wh)
    return width, height


def fit_scale(size_wh: tuple[int, int], target_wh: tuple[int, int]) -> float:
    """Return the factor at which an image just fits inside the target."""
    return min(target_wh[0] / size_wh[0], target_wh[1] / size_wh[1])


def scaling(x: float, y: float) -> np.ndarray:
    """Return the (3, 3) float64 matrix that scales about the top-left corner."""
    return np.diag([x, y, 1.0])


def translation(x: float, y: float) -> np.ndarray:
    """Return the (3, 3) float64 matrix that moves by x, y pixels."""
    matrix = np.eye(3)
    matrix[:2, 2] = x, y
    return matrix


def mirror(width: float) -> np.ndarray:
    """Return the (3, 3) float64 matrix of a left-right flip of an image of this width."""
    return translation(width, 0) @ scaling(-1, 1)


def transform_boxes(boxes_xyxy: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the upright boxes around the transformed corners, in the same floating dtype.

    Args:
        boxes_xyxy: (N, 4) pixels.
        matrix: (3, 3) affine matrix.
    """
    corners = boxes_xyxy.astype(np.float64)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
    whole = np.issubdtype(boxes_xyxy.dtype, np.integer)
    return boxes if whole else boxes.astype(boxes_xyxy.dtype, copy=False)


def clip_and_keep(
    boxes_xyxy: np.ndarray, region_wh: tuple[int, int], *, min_box_px: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to a picture and say which are still worth training on.

    Args:
        boxes_xyxy: (N, 4) pixels.
        region_wh: width and height of the picture.
        min_box_px: smallest side of a box after clipping (mmdet's `FilterAnnotations`).

    Returns:
        The (N, 4) clipped boxes and an (N,) mask of those to keep.
    """
    clipped = clip_boxes(boxes_xyxy, region_wh)
    sides = clipped[:, 2:] - clipped[:, :2]
    return clipped, (sides > 0).all(axis=1) & (sides >= min_box_px).all(axis=1)
