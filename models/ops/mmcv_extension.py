"""Stands in for `mmcv._ext`, the compiled module that a plain pip install of mmcv lacks.

`install()` puts a module of that name into `sys.modules`; mmcv's own Python layer then finds the
operators that one-stage detectors call. Any other operator raises an error that names it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.deform_conv import deform_conv2d

MODULE_NAME = "mmcv._ext"


class MissingOperatorError(NotImplementedError):
    """An operator of mmcv that Boxcamp does not supply was called."""


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices kept by greedy suppression, by falling score.

    Args:
        boxes: (N, 4) corners.
        scores: (N,).
        iou_threshold: boxes overlapping a better one by more than this are dropped.
        offset: 1 counts a box from 3 to 5 as 3 pixels wide, 0 as 2.
    """
    from torchvision.ops import nms as torchvision_nms

    # Moving the far corner by the offset gives the same widths, heights and overlaps.
    shift = boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes.float() + shift, scores.float(), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    detections: Tensor,
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al. 2017): lower the scores of overlapping boxes instead of dropping them.

    Args:
        boxes: (N, 4) corners.
        scores: (N,).
        detections: (N, 5) filled with the kept boxes and their new scores, best first.
        iou_threshold: overlap above which methods 0 and 1 act.
        sigma: width of the Gaussian of method 2.
        min_score: boxes that fall below it are dropped.
        method: 0 drops, 1 multiplies by 1 - IoU, 2 by exp(-IoU^2 / sigma).
        offset: as in `nms`.

    Returns:
        (K,) int64 indices of the kept boxes, in the order of `detections`.
    """
    remaining = scores.clone()
    alive = torch.ones(len(scores), dtype=torch.bool)
    kept: list[int] = []
    while alive.any():
        best = int(torch.where(alive, remaining, -torch.inf).argmax())
        if remaining[best] < min_score:
            break
        detections[len(kept), :4] = boxes[best]
        detections[len(kept), 4] = remaining[best]
        kept.append(best)
        alive[best] = False
        overlaps = _overlaps(boxes[best], boxes, offset)
        remaining *= _decay(overlaps, iou_threshold, sigma, method)
    return torch.tensor(kept, dtype=torch.int64)


def _overlaps(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    sides = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])) + offset
    intersection = sides.clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(dim=1)
    union = areas + (box[2:] - box[:2] + offset).prod() - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def _decay(overlaps: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == 2:
        return torch.exp(-(overlaps**2) / sigma)
    lowered = 1 - overlaps if method == 1 else torch.zeros_like(overlaps)
    return torch.where(overlaps >= iou_threshold, lowered, torch.ones_like(overlaps))


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fill `output` (N, C) with the focal loss of each logit (Lin et al. 2017, eq. 5).

    Args:
        logits: (N, C).
        target: (N,) class index; C or more means background.
        weight: (0,), because detectors weigh the loss outside.
        output: (N, C), written.
        gamma, alpha: the loss's two constants.
    """
    _refuse_class_weights(weight, "sigmoid_focal_loss_forward")
    positive = _is_target(logits, target)
    values = logits.float()
    probability = values.sigmoid()
    on = -alpha * (1 - probability) ** gamma * functional.logsigmoid(values)
    off = -(1 - alpha) * probability**gamma * functional.logsigmoid(-values)
    output.copy_(torch.where(positive, on, off))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fill `grad` (N, C) with the derivative of the focal loss by each logit."""
    _refuse_class_weights(weight, "sigmoid_focal_loss_backward")
    positive = _is_target(logits, target)
    values = logits.float()
    p = values.sigmoid()
    log_p, log_q = functional.logsigmoid(values), functional.logsigmoid(-values)
    on = alpha * (1 - p) ** gamma * (gamma * p * log_p - (1 - p))
    off = (1 - alpha) * p**gamma * (p - gamma * (1 - p) * log_q)
    grad.copy_(torch.where(positive, on, off))


def _is_target(logits: Tensor, target: Tensor) -> Tensor:
    classes = torch.arange(logits.shape[1], device=logits.device)
    return target[:, None] == classes[None, :]


def _refuse_class_weights(weight: Tensor, operator: str) -> None:
    if weight.numel():
        raise MissingOperatorError(f"{MODULE_NAME}.{operator}: class weights are not supplied")


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


def _geometry_of_version_1(geometry: dict[str, int]) -> dict[str, tuple[int, int]]:
    return {
        "stride": (geometry["dH"], geometry["dW"]),
        "padding": (geometry["padH"], geometry["padW"]),
        "dilation": (geometry["dilationH"], geometry["dilationW"]),
    }


def _geometry_of_version_2(geometry: dict[str, int]) -> dict[str, tuple[int, int]]:
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


def get_compiler_version() -> str:
    """Answer mmengine's environment report."""
    return "none: Boxcamp's substitute in PyTorch"


def get_compiling_cuda_version() -> str:
    """Answer mmengine's environment report."""
    return "not available"


OPERATORS: tuple[Callable[..., Any], ...] = (
    nms,
    softnms,
    sigmoid_focal_loss_forward,
    sigmoid_focal_loss_backward,
    deform_conv_forward,
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    modulated_deform_conv_forward,
    modulated_deform_conv_backward,
    get_compiler_version,
    get_compiling_cuda_version,
)


class SubstituteModule(ModuleType):
    """A module that has every operator: those not supplied raise when they are called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _missing_operator(name)


def _missing_operator(name: str) -> Callable[..., Any]:
    def missing(*args: Any, **kwargs: Any) -> None:
        supplied = ", ".join(operator.__name__ for operator in OPERATORS)
        raise MissingOperatorError(
            f"the operator {MODULE_NAME}.{name} is not supplied by Boxcamp (it has: {supplied}); "
            "build mmcv with its operators to use it"
        )

    return missing


def is_substituted() -> bool:
    """Tell whether the substitute stands in for the compiled module."""
    return isinstance(sys.modules.get(MODULE_NAME), SubstituteModule)


def install() -> None:
    """Make `import mmcv._ext` find the substitute; leave a compiled extension alone.

    Call it before anything imports `mmcv.ops` or `mmdet`. Calling it again changes nothing.
    """
    if MODULE_NAME in sys.modules or importlib.util.find_spec(MODULE_NAME) is not None:
        return
    module = SubstituteModule(MODULE_NAME, doc=__doc__)
    # Tools that look for the module (mmcv's own check among them) ask for its spec.
    module.__spec__ = importlib.util.spec_from_loader(MODULE_NAME, loader=None)
    for operator in OPERATORS:
        setattr(module, operator.__name__, operator)
    sys.modules[MODULE_NAME] = module
