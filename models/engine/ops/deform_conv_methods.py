"""The ways to compute a deformable convolution, and which one is used where.

All take checked arguments. Sampled values ("columns") are laid out as an image in which the taps
of an output pixel form a kernel-sized block, so that a convolution whose stride is its kernel size
sums them up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.engine.ops.bilinear import (
    RowSamples,
    bilinear_corners,
    row_samples,
    sample_planes,
    sample_rows,
)

# Below this many channels per deform group, rows waste most of each cache line.
MIN_ROW_CHANNELS = 16
# Columns are made and used in parts of about this size: they stay in the processor's cache, and
# freshly mapped memory is what costs most (docs/performance/operators.md).
PART_BYTES = 8 << 20
# Above this many bytes of columns in one call they are made again in the backward pass: a third
# slower, but ResNeXt-101 has 26 such layers and would keep all of theirs at once.
RECOMPUTE_BYTES = 256 << 20


@dataclass(frozen=True)
class Geometry:
    """Stride, padding and dilation, each (vertical, horizontal)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


def _kernel_hw(weight: Tensor) -> tuple[int, int]:
    return weight.shape[2], weight.shape[3]


def sampling_positions(
    offset: Tensor, kernel_hw: tuple[int, int], geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """Return where each tap of each output pixel samples the input.

    Args:
        offset: (N, 2 * D * kernel_height * kernel_width, H_out, W_out).
        kernel_hw: height and width of the kernel.
        geometry: how the kernel moves over the image.

    Returns:
        y and x in input pixels, each (N, D, kernel_height, kernel_width, H_out, W_out); float32,
        or float64 for float64 offsets: half precision cannot tell pixels apart beyond 256.
    """
    batch, channels, height, width = offset.shape
    dtype = torch.float64 if offset.dtype == torch.float64 else torch.float32
    deform_groups = channels // (2 * kernel_hw[0] * kernel_hw[1])
    shifts = offset.to(dtype).reshape(batch, deform_groups, *kernel_hw, 2, height, width)

    def taps_and_pixels(axis: int, size: int) -> tuple[Tensor, Tensor]:
        taps = torch.arange(kernel_hw[axis], device=offset.device, dtype=dtype)
        pixels = torch.arange(size, device=offset.device, dtype=dtype)
        return (
            taps * geometry.dilation[axis],
            pixels * geometry.stride[axis] - geometry.padding[axis],
        )

    tap_y, pixel_y = taps_and_pixels(0, height)
    tap_x, pixel_x = taps_and_pixels(1, width)
    grid_y = tap_y.view(-1, 1, 1, 1) + pixel_y.view(1, 1, -1, 1)
    grid_x = tap_x.view(1, -1, 1, 1) + pixel_x.view(1, 1, 1, -1)
    return shifts[:, :, :, :, 0] + grid_y, shifts[:, :, :, :, 1] + grid_x


def by_torchvision(
    image: Tensor, offset: Tensor, weight: Tensor, geometry: Geometry, mask: Tensor | None
) -> Tensor:
    """Call torchvision's compiled kernel.

    It wants one dtype. On a GPU under autocast torchvision itself takes float32; on the CPU it
    does not, and fails.
    """
    dtype = torch.promote_types(torch.promote_types(image.dtype, offset.dtype), weight.dtype)
    return torchvision.ops.deform_conv2d(
        image.to(dtype),
        offset.to(dtype),
        weight.to(dtype),
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
        mask=None if mask is None else mask.to(dtype),
    )


def by_planes(
    image: Tensor, offset: Tensor, weight: Tensor, geometry: Geometry, mask: Tensor | None
) -> Tensor:
    """Sample with one `grid_sample`, the deform groups as further images of the batch."""
    y, x = sampling_positions(offset, _kernel_hw(weight), geometry)
    batch, deform_groups, kernel_h, kernel_w, out_h, out_w = y.shape
    order = (0, 1, 4, 2, 5, 3)  # batch, deform group, out_h, kernel_h, out_w, kernel_w
    shape = (batch * deform_groups, out_h * kernel_h, out_w * kernel_w)
    channels = image.shape[1]
    planes = image.reshape(batch * deform_groups, channels // deform_groups, *image.shape[2:])
    samples = sample_planes(
        planes, y.permute(order).reshape(shape), x.permute(order).reshape(shape)
    )
    if mask is not None:
        samples = samples * mask.reshape(y.shape).permute(order).reshape(shape).unsqueeze(1)
    columns = samples.view(batch, channels, *shape[1:]).to(weight.dtype)
    return F.conv2d(columns, weight, stride=_kernel_hw(weight), groups=channels // weight.shape[1])


def by_rows(
    image: Tensor,
    offset: Tensor,
    weight: Tensor,
    geometry: Geometry,
    mask: Tensor | None,
    *,
    recompute: bool = False,
) -> Tensor:
    """Sample all channels of a pixel at once with `embedding_bag`, some channels after others.

    Args:
        image, offset, weight, geometry, mask: as in `deform_conv2d`.
        recompute: forget the columns after the forward pass and make them again in the backward
            pass.
    """
    channels, group_channels = image.shape[1], weight.shape[1]
    samples, grid_hw = _samples_of_groups(image, offset, weight, geometry, mask)
    deform_channels = channels // len(samples)
    step = part_channels(deform_channels, group_channels, len(samples[0].pixels))
    groups = max(step // group_channels, 1)
    # Split, not sliced: the gradient of a slice is a whole tensor of zeros, one for each part.
    images = image.split(step, dim=1)
    group_outputs = weight.shape[0] * group_channels // channels
    weights = [
        piece for rows in weight.split(groups * group_outputs) for piece in rows.split(step, dim=1)
    ]
    parts: list[Tensor] = []
    for number, (image_part, weight_part) in enumerate(zip(images, weights, strict=True)):
        start = number * step
        arguments = (image_part, samples[start // deform_channels], weight_part, grid_hw, groups)
        if recompute:
            part = checkpoint(
                _part_output, *arguments, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = _part_output(*arguments)
        if start % group_channels:
            parts[-1] = parts[-1] + part
        else:
            parts.append(part)
    output = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return _in_format_of(image, output)


def _in_format_of(image: Tensor, output: Tensor) -> Tensor:
    # The parts come with channels innermost; layers that follow are slow on mixed formats.
    if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
        return output.contiguous(memory_format=torch.channels_last)
    return output.contiguous()


def by_rows_recomputed(
    image: Tensor, offset: Tensor, weight: Tensor, geometry: Geometry, mask: Tensor | None
) -> Tensor:
    """As `by_rows`, with the columns made again in the backward pass instead of kept."""
    return by_rows(image, offset, weight, geometry, mask, recompute=True)


def part_channels(deform_channels: int, group_channels: int, samples: int) -> int:
    """Return how many channels to sample at once: at most `PART_BYTES` of columns, if possible.

    A part lies inside one deform group, and either is made of whole convolution groups or lies
    inside one. The smallest part considered has `MIN_ROW_CHANNELS`.
    """
    fitting = [
        size
        for size in range(1, deform_channels + 1)
        if deform_channels % size == 0
        and (size % group_channels == 0 or group_channels % size == 0)
    ]
    small = [size for size in fitting if size * samples * 4 <= PART_BYTES]
    wide = [size for size in fitting if size >= MIN_ROW_CHANNELS]
    if small and (small[-1] >= MIN_ROW_CHANNELS or not wide):
        return small[-1]
    return wide[0] if wide else fitting[-1]


def _samples_of_groups(
    image: Tensor, offset: Tensor, weight: Tensor, geometry: Geometry, mask: Tensor | None
) -> tuple[list[RowSamples], tuple[int, int]]:
    batch, _, height, width = image.shape
    y, x = sampling_positions(offset, _kernel_hw(weight), geometry)
    _, deform_groups, kernel_h, kernel_w, out_h, out_w = y.shape
    order = (1, 0, 4, 2, 5, 3)  # deform group, batch, out_h, kernel_h, out_w, kernel_w
    pixels, weights = bilinear_corners(y.permute(order), x.permute(order), height, width)
    if mask is not None:
        weights = weights * mask.reshape(y.shape).permute(order).unsqueeze(-1)
    images = torch.arange(batch, device=image.device, dtype=torch.int32)
    first_pixel = images * (height * width)
    pixels = pixels + first_pixel.view(-1, 1, 1, 1, 1, 1)
    count = batch * out_h * kernel_h * out_w * kernel_w
    image_gradient = image.requires_grad and torch.is_grad_enabled()
    samples = [
        row_samples(
            pixels[group].reshape(count, 4),
            weights[group].reshape(count, 4),
            batch * height * width,
            image_gradient=image_gradient,
        )
        for group in range(deform_groups)
    ]
    return samples, (out_h * kernel_h, out_w * kernel_w)


def _part_output(
    image: Tensor, samples: RowSamples, weight: Tensor, grid_hw: tuple[int, int], groups: int
) -> Tensor:
    sampled = sample_rows(image, samples)
    columns = sampled.view(image.shape[0], *grid_hw, image.shape[1]).permute(0, 3, 1, 2)
    return F.conv2d(columns.to(weight.dtype), weight, stride=_kernel_hw(weight), groups=groups)


METHODS: dict[str, Callable[[Tensor, Tensor, Tensor, Geometry, Tensor | None], Tensor]] = {
    "torchvision": by_torchvision,
    "planes": by_planes,
    "rows": by_rows,
    "rows_recomputed": by_rows_recomputed,
}


def choose_method(image: Tensor, offset: Tensor, weight: Tensor) -> str:
    """Return the method that the measurements favour for a device and size.

    Args:
        image, offset, weight: the tensors of the call; only shapes and device are looked at.

    Returns:
        A key of `METHODS`. GPUs get torchvision's compiled kernel until
        `python -m benchmarks.deform_conv` has been run on one.
    """
    if image.device.type != "cpu":
        return "torchvision"
    taps = weight.shape[2] * weight.shape[3]
    deform_groups = offset.shape[1] // (2 * taps)
    if image.shape[1] // deform_groups < MIN_ROW_CHANNELS:
        return "planes"
    samples = image.shape[0] * offset.shape[2] * offset.shape[3] * taps
    keeps = samples * image.shape[1] * 4 <= RECOMPUTE_BYTES
    return "rows" if keeps or not torch.is_grad_enabled() else "rows_recomputed"
