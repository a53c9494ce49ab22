"""The random affine transform of YOLOX's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.engine.data.geometry import scaling, translation


def affine_matrix(
    rotate_degrees: float,
    scale: float,
    shear_degrees_xy: tuple[float, float],
    translate_xy: tuple[float, float],
) -> np.ndarray:
    """Return the (3, 3) matrix: scale, rotate, shear, translate, about the top-left corner.

    The fixed point is the corner and not the centre, as in mmdet's `RandomAffine` and in YOLOX.

    Args:
        rotate_degrees: clockwise on the screen.
        scale: factor.
        shear_degrees_xy: along x and along y.
        translate_xy: pixels.
    """
    angle = np.radians(rotate_degrees)
    shear_x, shear_y = np.tan(np.radians(shear_degrees_xy))
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    shear = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
    return translation(*translate_xy) @ shear @ rotation @ scaling(scale, scale)


def draw_affine(
    rng: np.random.Generator, options: Mapping[str, Any], canvas_wh: tuple[int, int]
) -> np.ndarray:
    """Draw a matrix for a canvas of this size.

    Args:
        rng: source of randomness.
        options: `rotate_degrees`, `scale`, `shear_degrees`, `translate` of the block `affine`.
        canvas_wh: size that translations are a fraction of.
    """
    rotate = rng.uniform(-1, 1) * options["rotate_degrees"]
    scale = rng.uniform(*options["scale"])
    shear_x, shear_y = rng.uniform(-1, 1, 2) * options["shear_degrees"]
    shift = rng.uniform(-1, 1, 2) * options["translate"] * np.array(canvas_wh)
    return affine_matrix(rotate, scale, (shear_x, shear_y), (shift[0], shift[1]))
