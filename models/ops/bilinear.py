"""Bilinear sampling at free positions, with the border and tie rules of deformable convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Below this many channels per deform group, gathering rows wastes most of each cache line and
# planes are sampled instead (benchmarks/deform_conv.py: 1 channel is 15 times faster so).
MIN_ROW_CHANNELS = 16


def sample_bilinear(image: Tensor, y: Tensor, x: Tensor, factor: Tensor | None) -> Tensor:
    """Sample an image once per kernel tap and output pixel.

    Args:
        image: (N, C, H, W) of any memory format.
        y, x: (N, D, kernel_height, kernel_width, H_out, W_out) in pixels; deform group d moves
            channels d * C / D up to (d + 1) * C / D.
        factor: what to multiply each sample by, shaped like `y`, or None.

    Returns:
        (N, C, H_out * kernel_height, W_out * kernel_width): the taps of an output pixel form a
        block. A corner outside the image counts as zero.
    """
    if image.shape[1] // y.shape[1] < MIN_ROW_CHANNELS:
        return _sample_planes(image, y, x, factor)
    return _sample_rows(image, y, x, factor)


def _sample_rows(image: Tensor, y: Tensor, x: Tensor, factor: Tensor | None) -> Tensor:
    batch, channels, height, width = image.shape
    _, deform_groups, kernel_h, kernel_w, out_h, out_w = y.shape
    order = (0, 4, 2, 5, 3, 1)  # batch, out_h, kernel_h, out_w, kernel_w, deform group
    y, x = y.permute(order), x.permute(order)
    pixels, weights = bilinear_corners(y, x, height, width)
    if factor is not None:
        weights = weights * factor.permute(order).unsqueeze(-1)
    image_index = torch.arange(batch, device=image.device).view(-1, 1, 1, 1, 1, 1, 1)
    group_index = torch.arange(deform_groups, device=image.device).view(-1, 1)
    rows = (image_index * (height * width) + pixels) * deform_groups + group_index
    table = image.permute(0, 2, 3, 1).reshape(-1, channels // deform_groups).to(weights.dtype)
    samples = F.embedding_bag(
        rows.reshape(-1, 4), table, per_sample_weights=weights.reshape(-1, 4), mode="sum"
    )
    return samples.view(batch, out_h * kernel_h, out_w * kernel_w, channels).permute(0, 3, 1, 2)


def bilinear_corners(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each position and their weights.

    Args:
        y, x: positions in pixels, of one shape (...).
        height, width: size of the image.

    Returns:
        pixels: (..., 4) int64 index into the flattened image; a corner outside points at the
            nearest pixel inside.
        weights: (..., 4), zero with zero gradient for a corner outside. At a whole position the
            gradient is the one towards the next pixel, as in torchvision.
    """
    top, left = y.detach().floor(), x.detach().floor()
    below, right = y - top, x - left
    weight_y = torch.stack([1 - below, 1 - below, below, below], dim=-1)
    weight_x = torch.stack([1 - right, right, 1 - right, right], dim=-1)
    # Clamped first: a far position must not overflow the integer. -2 and `size` are outside.
    top = top.clamp(-2, height).long()
    left = left.clamp(-2, width).long()
    corner_y = torch.stack([top, top, top + 1, top + 1], dim=-1)
    corner_x = torch.stack([left, left + 1, left, left + 1], dim=-1)
    inside = (corner_y >= 0) & (corner_y < height) & (corner_x >= 0) & (corner_x < width)
    pixels = corner_y.clamp(0, height - 1) * width + corner_x.clamp(0, width - 1)
    return pixels, weight_y * weight_x * inside


def _sample_planes(image: Tensor, y: Tensor, x: Tensor, factor: Tensor | None) -> Tensor:
    batch, channels, height, width = image.shape
    _, deform_groups, kernel_h, kernel_w, out_h, out_w = y.shape
    order = (0, 1, 4, 2, 5, 3)  # batch, deform group, out_h, kernel_h, out_w, kernel_w
    planes_shape = (batch * deform_groups, out_h * kernel_h, out_w * kernel_w)
    padded_h, padded_w = _power_of_two(height), _power_of_two(width)
    grid = torch.stack([_normalised(x, padded_w), _normalised(y, padded_h)], dim=-1)
    grid = grid.permute(*order, 6).reshape(*planes_shape, 2)
    planes = image.reshape(batch * deform_groups, channels // deform_groups, height, width)
    planes = F.pad(planes.to(grid.dtype), (0, padded_w - width, 0, padded_h - height))
    samples = F.grid_sample(planes, grid, align_corners=False)
    if factor is not None:
        samples = samples * factor.permute(order).reshape(planes_shape).unsqueeze(1)
    return samples.view(batch, channels, *planes_shape[1:])


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _normalised(position: Tensor, size: int) -> Tensor:
    # grid_sample takes [-1, 1] and turns it back into pixels. With a power of two as size, whole
    # positions survive that exactly. A position just below a whole one could be rounded onto it,
    # and would get the gradient of the other side: it is held two roundings below.
    exact = position.detach()
    whole = exact.floor()
    margin = size * torch.finfo(position.dtype).eps
    held = position + (whole + (exact - whole).clamp(max=1 - margin) - exact)
    return (2 * held + 1) / size - 1
