"""Deformable convolution (v1 and v2) in plain PyTorch, a drop-in for torchvision's.

How it is computed depends on device and shape: see `deform_conv_methods`.

Sources: Zhu et al., Deformable ConvNets v2, https://arxiv.org/abs/1811.11168; argument order,
sampling rules and limits follow torchvision.ops.deform_conv2d.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from models.engine.ops.deform_conv_methods import METHODS, Geometry, choose_method

IntPair = int | Sequence[int]


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    mask: Tensor | None = None,
    *,
    method: str | None = None,
) -> Tensor:
    """Convolve `input` at sampling points shifted by `offset` and scaled by `mask`.

    Args:
        input: (N, C, H, W) pixels.
        offset: (N, 2 * D * kernel_height * kernel_width, H_out, W_out), pairs (dy, dx) in pixels
            for each of D deform groups and each kernel tap; C is a multiple of D.
        weight: (O, C / G, kernel_height, kernel_width) with G convolution groups.
        bias: (O,) or None.
        stride, padding, dilation: one int, or (vertical, horizontal).
        mask: (N, D * kernel_height * kernel_width, H_out, W_out) factor of each sample, or None.
        method: a key of `METHODS`; None lets `choose_method` pick the fastest for the device.

    Returns:
        (N, O, H_out, W_out) in the dtype of `input`. Samples outside the image count as zero and
        fade out over one pixel at its border.

    Raises:
        RuntimeError: shapes that do not fit each other, as torchvision does.
    """
    stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
    _check_shapes(input, offset, weight, bias, mask, stride, padding, dilation)
    name = method or choose_method(input, offset, weight)
    output = METHODS[name](input, offset, weight, Geometry(stride, padding, dilation), mask)
    if bias is not None:
        output = output + bias.to(output.dtype).view(1, -1, 1, 1)
    return output.to(input.dtype)


def _pair(value: IntPair) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    vertical, horizontal = value
    return int(vertical), int(horizontal)


def _check_shapes(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    for name, tensor in (("input", input), ("offset", offset), ("weight", weight)):
        _require(tensor.ndim == 4, f"{name} has {tensor.ndim} dimensions, expected 4")
    _require(min(stride) > 0, f"stride is {stride}, expected positive numbers")
    _require(min(padding) >= 0, f"padding is {padding}, expected no negative numbers")
    _require(min(dilation) > 0, f"dilation is {dilation}, expected positive numbers")
    batch, channels, _, _ = input.shape
    out_channels, group_channels, kernel_h, kernel_w = weight.shape
    taps = kernel_h * kernel_w
    _require(taps > 0, f"the kernel is empty: {kernel_h} x {kernel_w}")
    deform_groups = offset.shape[1] // (2 * taps)
    _require(
        deform_groups > 0 and offset.shape[1] == 2 * taps * deform_groups,
        f"offset has {offset.shape[1]} channels, expected a multiple of 2 * {kernel_h} * "
        f"{kernel_w} = {2 * taps}",
    )
    _require(
        group_channels > 0 and channels % group_channels == 0,
        f"input has {channels} channels, expected a multiple of weight.shape[1] = {group_channels}",
    )
    groups = channels // max(group_channels, 1)
    _require(
        groups > 0 and out_channels % groups == 0,
        f"weight has {out_channels} output channels, expected a multiple of {groups} groups",
    )
    _require(
        channels % deform_groups == 0,
        f"input has {channels} channels, expected a multiple of {deform_groups} deform groups",
    )
    size = tuple(
        (input.shape[2 + axis] + 2 * padding[axis] - dilation[axis] * (kernel - 1) - 1)
        // stride[axis]
        + 1
        for axis, kernel in enumerate((kernel_h, kernel_w))
    )
    _require(min(size) > 0, f"the calculated output size is {size}, which is too small")
    expected = (batch, 2 * taps * deform_groups, *size)
    _require(tuple(offset.shape) == expected, _shape_message("offset", offset, expected))
    if mask is not None:
        expected = (batch, taps * deform_groups, *size)
        _require(tuple(mask.shape) == expected, _shape_message("mask", mask, expected))
    if bias is not None:
        expected = (out_channels,)
        _require(tuple(bias.shape) == expected, _shape_message("bias", bias, expected))


def _shape_message(name: str, tensor: Tensor, expected: tuple[int, ...]) -> str:
    return f"{name} has shape {tuple(tensor.shape)}, expected {expected}"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RuntimeError(f"deform_conv2d: {message}")
