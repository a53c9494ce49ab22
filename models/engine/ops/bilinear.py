"""Bilinear sampling at free positions, with the border and tie rules of deformable convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def bilinear_corners(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each position and their weights.

    Args:
        y, x: positions in pixels, of one shape (...).
        height, width: size of the image.

    Returns:
        pixels: (..., 4) int32 index into the flattened image; a corner outside points at the
            nearest pixel inside.
        weights: (..., 4), zero with zero gradient for a corner outside. At a whole position the
            gradient is the one towards the next pixel, as in torchvision.
    """
    top, bottom, weight_top, weight_bottom = _neighbours(y, height)
    left, right, weight_left, weight_right = _neighbours(x, width)
    top, bottom = top * width, bottom * width
    pixels = torch.stack([top + left, top + right, bottom + left, bottom + right], dim=-1)
    weights = [
        weight_top * weight_left,
        weight_top * weight_right,
        weight_bottom * weight_left,
        weight_bottom * weight_right,
    ]
    return pixels, torch.stack(weights, dim=-1)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the two whole positions around each, held inside, and their weights along one axis."""
    whole = position.detach().floor()
    part = position - whole
    # Clamped first: a far position must not overflow the integer. -2 and `size` are outside.
    low = whole.clamp(-2, size).to(torch.int32)
    high = low + 1
    weight_low = (1 - part) * ((low >= 0) & (low < size))
    weight_high = part * ((high >= 0) & (high < size))
    return low.clamp(0, size - 1), high.clamp(0, size - 1), weight_low, weight_high


@dataclass(frozen=True)
class RowSamples:
    """Which image rows each sample reads, and for the way back which samples read each row.

    Attributes:
        pixels: (S, 4) int32 index of each sample's corners into the rows.
        weights: (S, 4) of the corners, float32 or float64.
        order: (S * 4,) int32, positions in the flattened `pixels`, by ascending pixel; None when no
            gradient of the image is wanted.
        starts: (rows,) int32, where each row's positions begin in `order`; None with it.
    """

    pixels: Tensor
    weights: Tensor
    order: Tensor | None = None
    starts: Tensor | None = None


def row_samples(pixels: Tensor, weights: Tensor, rows: int, *, image_gradient: bool) -> RowSamples:
    """Prepare sampling from a table of `rows` rows, for any number of channels.

    Args:
        pixels: (S, 4) int32 index of each sample's corners.
        weights: (S, 4) of the corners.
        rows: length of the table.
        image_gradient: whether the table's gradient will be wanted.
    """
    if torch.compiler.is_compiling():
        # torch 2.11's inductor hands 32-bit offsets to embedding_bag as if they had 64.
        pixels = pixels.long()
    if not image_gradient:
        return RowSamples(pixels, weights)
    flat = pixels.reshape(-1)
    counts = torch.bincount(flat, minlength=rows)
    starts = (counts.cumsum(0) - counts).to(flat.dtype)
    return RowSamples(pixels, weights, flat.argsort().to(flat.dtype), starts)


def sample_rows(image: Tensor, samples: RowSamples) -> Tensor:
    """Sample all channels of a pixel at once; fast where there are many.

    Args:
        image: (N, C, H, W) of any memory format; its pixels are the samples' N * H * W rows.
        samples: over all images.

    Returns:
        (S, C), channels innermost.
    """
    rows = image.permute(0, 2, 3, 1).reshape(-1, image.shape[1]).to(samples.weights.dtype)
    return _WeightedRows.apply(rows, samples.weights, samples.pixels, samples.order, samples.starts)


class _WeightedRows(torch.autograd.Function):
    """`embedding_bag`, with a faster gradient of the rows.

    PyTorch adds each sample's gradient to its four rows one by one. Sorted by row, the same sums
    are again an `embedding_bag`: rows of the gradient, weighted.
    """

    @staticmethod
    def forward(
        rows: Tensor, weights: Tensor, pixels: Tensor, order: Tensor | None, starts: Tensor | None
    ) -> Tensor:
        return F.embedding_bag(pixels, rows, per_sample_weights=weights, mode="sum")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weights, pixels, order, starts = ctx.saved_tensors
        gradient = gradient.contiguous()
        rows_gradient = weights_gradient = None
        if ctx.needs_input_grad[0]:
            sorted_weights = weights.reshape(-1).index_select(0, order)
            rows_gradient = F.embedding_bag(
                order // 4, gradient, starts, per_sample_weights=sorted_weights, mode="sum"
            )
        if ctx.needs_input_grad[1]:
            weights_gradient = _weights_gradient(gradient, rows, pixels)
        return rows_gradient, weights_gradient, None, None, None


def _weights_gradient(gradient: Tensor, rows: Tensor, pixels: Tensor) -> Tensor:
    corners = pixels.shape[1]
    samples = torch.arange(len(pixels), dtype=pixels.dtype, device=pixels.device)
    products = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        gradient, rows, pixels.reshape(-1), samples * corners,
        samples.repeat_interleave(corners), 0,
    )  # fmt: skip
    return products.view_as(pixels)


def sample_planes(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample channel after channel; fast where few channels share their positions.

    Args:
        image: (B, C, H, W).
        y, x: (B, H_out, W_out) positions in pixels.

    Returns:
        (B, C, H_out, W_out).
    """
    height, width = image.shape[2:]
    padded_h, padded_w = _power_of_two(height), _power_of_two(width)
    grid = torch.stack([_normalised(x, padded_w), _normalised(y, padded_h)], dim=-1)
    padded = F.pad(image.to(grid.dtype), (0, padded_w - width, 0, padded_h - height))
    return F.grid_sample(padded, grid, align_corners=False)


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
