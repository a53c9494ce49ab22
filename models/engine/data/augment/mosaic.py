"""Mosaic and mixup as layers on a canvas of the training size; no larger canvas is ever drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from models.engine.data.augment.render import Layer
from models.engine.data.geometry import fit_scale, fitted_size, mirror, scaling, translation


def draw_mosaic_centre(rng: np.random.Generator, tile_wh: tuple[int, int]) -> tuple[int, int]:
    """Draw the point where the four images meet, half a tile to one and a half from the corner."""
    x, y = rng.uniform(0.5, 1.5, 2) * tile_wh
    return int(x), int(y)


Length = TypeVar("Length", int, float)


def tile_corners(
    sizes_wh: Sequence[tuple[Length, Length]], centre_xy: tuple[int, int]
) -> list[tuple[Length, Length]]:
    """Return where the top-left corners of four images lie.

    Top left, top right, bottom left, bottom right of the centre, each touching it with a corner
    (mmdet's `Mosaic`).

    Args:
        sizes_wh: four widths and heights on the canvas.
        centre_xy: the meeting point.
    """
    x, y = centre_xy
    return [
        (x - width if place % 2 == 0 else x, y - height if place < 2 else y)
        for place, (width, height) in enumerate(sizes_wh)
    ]


def small_mosaic(
    indices: Sequence[int],
    sizes_wh: Sequence[tuple[int, int]],
    canvas_wh: tuple[int, int],
    centre_xy: tuple[int, int],
) -> list[Layer]:
    """Lay out four images at half the training size on a canvas of the training size.

    What mmdet's `Mosaic` draws with `img_scale` set to half the training size.

    Args:
        indices: four positions in the dataset.
        sizes_wh: the four images' sizes in their files.
        canvas_wh: training size.
        centre_xy: the meeting point, in pixels of the canvas.
    """
    tile_wh = max(1, canvas_wh[0] // 2), max(1, canvas_wh[1] // 2)
    new_sizes = [fitted_size(size, tile_wh) for size in sizes_wh]
    corners = tile_corners(new_sizes, centre_xy)
    return [
        Layer.resized(index, size, corner, new)
        for index, size, corner, new in zip(indices, sizes_wh, corners, new_sizes, strict=True)
    ]


def warped_mosaic(
    indices: Sequence[int],
    sizes_wh: Sequence[tuple[int, int]],
    tile_wh: tuple[int, int],
    centre_xy: tuple[int, int],
    affine: np.ndarray,
    decode_tile_wh: tuple[int, int],
) -> list[Layer]:
    """Lay out four images as YOLOX does: on twice the training size, then warped back to it.

    The large canvas exists only as coordinates: each image is warped once, from its file's pixels
    to the training picture, and those that the warp leaves outside need not be read at all.

    Args:
        indices: four positions in the dataset.
        sizes_wh: the four images' sizes in their files.
        tile_wh: training size; the virtual canvas has twice its sides.
        centre_xy: the meeting point on the virtual canvas.
        affine: (3, 3), from the virtual canvas to the training picture.
        decode_tile_wh: training size without multi-scale; more detail than it shows is not read.
    """
    scales = [fit_scale(size, tile_wh) for size in sizes_wh]
    shown = [(w * scale, h * scale) for (w, h), scale in zip(sizes_wh, scales, strict=True)]
    corners = tile_corners(shown, centre_xy)
    layers = []
    for index, size, scale, corner in zip(indices, sizes_wh, scales, corners, strict=True):
        # The part that lies on the virtual canvas, in pixels of the file.
        low = np.maximum(0, -np.array(corner)) / scale
        high = np.minimum(size, (2 * np.array(tile_wh) - corner) / scale)
        matrix = affine @ translation(*corner) @ scaling(scale, scale)
        decode_scale = fit_scale(size, decode_tile_wh)
        layers.append(Layer(index, matrix, (low[0], low[1], high[0], high[1]), decode_scale))
    return layers


def mixup_layer(
    rng: np.random.Generator,
    index: int,
    size_wh: tuple[int, int],
    target_wh: tuple[int, int],
    canvas_wh: tuple[int, int],
    scale_range: tuple[float, float],
    decode_tile_wh: tuple[int, int],
) -> Layer:
    """Draw the place of the image that is blended in.

    Follows mmdet's `MixUp`: fitted into the training size, letterboxed, enlarged or reduced by a
    factor, flipped half the time, and cut out at a random place.

    Args:
        rng: source of randomness.
        index: position in the dataset.
        size_wh: size in the file.
        target_wh: training size.
        canvas_wh: size of the picture that it is blended into.
        scale_range: range of the factor.
        decode_tile_wh: training size without multi-scale.
    """
    factor = rng.uniform(*scale_range)
    flipped = rng.random() < 0.5
    box_wh = int(target_wh[0] * factor), int(target_wh[1] * factor)
    spare = np.maximum(np.array(box_wh) - canvas_wh, 0)
    offset = rng.integers(0, spare, endpoint=True)
    scale = fit_scale(size_wh, target_wh) * factor
    matrix = scaling(scale, scale)
    if flipped:
        matrix = mirror(box_wh[0]) @ matrix
    matrix = translation(-offset[0], -offset[1]) @ matrix
    return Layer(index, matrix, (0, 0, *size_wh), fit_scale(size_wh, decode_tile_wh))


def draw_partners(
    rng: np.random.Generator, count: int, own_index: int, pool: Sequence[int], size: int
) -> list[int]:
    """Draw other images for a sample.

    Args:
        rng: source of randomness.
        count: how many.
        own_index: the sample's own image, avoided where there are others.
        pool: positions to draw from; empty means the whole dataset.
        size: of the dataset.
    """
    if pool:
        others = [index for index in pool if index != own_index]
    else:
        others = [int(i) for i in rng.integers(0, size, count + 4) if i != own_index]
        others = list(dict.fromkeys(others))
    if len(others) >= count:
        return rng.choice(others, count, replace=False).tolist()
    return rng.choice(others or [own_index], count, replace=True).tolist()
