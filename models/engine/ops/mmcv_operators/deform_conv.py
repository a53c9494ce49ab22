"""Deformable convolution, versions 1 and 2, into tensors that mmcv has made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor

from models.engine.ops.deform_conv import deform_conv2d


def deform_conv_forward(
    inputs: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **geometry: int,
) -> None:
    """Fill `output` with the deformable convolution (version 1: no mask)."""
    output.copy_(deform_conv2d(inputs, offset, weight, **_geometry_of_version_1(geometry)))


def deform_conv_backward_input(
    inputs: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **geometry: int,
) -> None:
    """Fill the gradients of input and offset."""
    keywords = _geometry_of_version_1(geometry)
    gradients = _gradients(
        lambda x, o: deform_conv2d(x, o, weight, **keywords), grad_output, inputs, offset
    )
    _copy_all((grad_input, grad_offset), gradients)


def deform_conv_backward_parameters(
    inputs: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    scale: float,
    **geometry: int,
) -> None:
    """Add the gradient of the weight to `grad_weight`."""
    keywords = _geometry_of_version_1(geometry)
    shape = torch.zeros_like(grad_weight)
    (gradient,) = _gradients(
        lambda w: deform_conv2d(inputs, offset, w, **keywords), grad_output, shape
    )
    grad_weight.add_(gradient, alpha=scale)


def modulated_deform_conv_forward(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    *,
    with_bias: bool,
    **geometry: int,
) -> None:
    """Fill `output` with the modulated deformable convolution (DCNv2)."""
    keywords = _geometry_of_version_2(geometry)
    result = deform_conv2d(
        inputs, offset, weight, bias if with_bias else None, mask=mask, **keywords
    )
    output.copy_(result)


def modulated_deform_conv_backward(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    *,
    with_bias: bool,
    **geometry: int,
) -> None:
    """Fill the gradients of all inputs of `modulated_deform_conv_forward`."""
    keywords = _geometry_of_version_2(geometry)
    gradients = _gradients(
        lambda x, o, m, w: deform_conv2d(x, o, w, mask=m, **keywords),
        grad_output,
        inputs,
        offset,
        mask,
        weight,
    )
    _copy_all((grad_input, grad_offset, grad_mask, grad_weight), gradients)
    if with_bias:
        grad_bias.copy_(grad_output.sum(dim=(0, 2, 3)))


class GeometryOptions(TypedDict):
    """How the kernel moves over the image: heights and widths."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


def _geometry_of_version_1(geometry: dict[str, int]) -> GeometryOptions:
    return {
        "stride": (geometry["dH"], geometry["dW"]),
        "padding": (geometry["padH"], geometry["padW"]),
        "dilation": (geometry["dilationH"], geometry["dilationW"]),
    }


def _geometry_of_version_2(geometry: dict[str, int]) -> GeometryOptions:
    return {
        "stride": (geometry["stride_h"], geometry["stride_w"]),
        "padding": (geometry["pad_h"], geometry["pad_w"]),
        "dilation": (geometry["dilation_h"], geometry["dilation_w"]),
    }


def _gradients(
    function: Callable[..., Tensor], grad_output: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    # mmcv's backward hands over raw tensors, so the forward is run again to have a graph.
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        return torch.autograd.grad(function(*leaves), leaves, grad_output)


def _copy_all(targets: tuple[Tensor, ...], sources: tuple[Tensor, ...]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
