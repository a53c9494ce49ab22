"""Modules that replace mmdet's of the same name, and two small backbones for smoke scale.

The replacements keep upstream's parameter names and shapes, so published checkpoints load; only
what they compute with, or what crashes upstream, differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.engine.libraries.mmdet.library import (
    MODELS,
    ROOT_MODELS,
    BaseModule,
    Bottleneck,
    ModulatedDeformConv2dPack,
    ResNeXt,
    RetinaHead,
    SSDHead,
    TOODHead,
    reduce_mean,
)
from models.engine.libraries.mmdet.tood_loss import BatchedTaskAlignment
from models.engine.ops.deform_conv import deform_conv2d


class DeformableConv2d(ModulatedDeformConv2dPack):
    """DCNv2 (Zhu et al. 2019) on Boxcamp's operator; offsets and mask come from `conv_offset`."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) at the sampling points predicted from it."""
        first, second, mask = self.conv_offset(x).chunk(3, dim=1)
        return deform_conv2d(
            x,
            torch.cat((first, second), dim=1),
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            mask=mask.sigmoid(),
        )


class TaskAlignedHead(BatchedTaskAlignment, TOODHead):
    """TOOD's head; its sampling of the box maps and its loss are Boxcamp's."""

    def deform_sampling(self, feat: Tensor, offset: Tensor) -> Tensor:
        """Sample each channel of (N, C, H, W) at its own (N, 2C, H, W) offsets, bilinearly."""
        weight = feat.new_ones(feat.shape[1], 1, 1, 1)
        return deform_conv2d(feat, offset, weight)


class GlobalNormalizer:
    """Mixed in front of an anchor head: its losses are normalized over all processes.

    Upstream's RetinaNet and SSD divide by the positive priors of their own process, TOOD and YOLOX
    by the mean over the processes, whose averaged gradients are then those of the whole batch.
    """

    def get_targets(self, *arguments: Any, **options: Any) -> tuple[Any, ...]:
        """Return upstream's targets; the normalizer, the fifth, is the processes' mean."""
        *targets, positives = super().get_targets(  # type: ignore[misc]  # the head's
            *arguments, **options
        )
        if torch.distributed.is_initialized():
            device = targets[0][0].device
            positives = reduce_mean(torch.tensor(float(positives), device=device))
        return *targets, positives


class GlobalRetinaHead(GlobalNormalizer, RetinaHead):
    """RetinaNet's head, normalized over all processes."""


class SoftmaxSSDHead(GlobalNormalizer, SSDHead):
    """SSD's head with the attribute whose absence makes upstream's prediction fail.

    mmdet's `predict_by_feat` asks `loss_cls` whether it activates scores in its own way; SSDHead
    computes its loss without such an object and never sets one (mmdet 3.3.0 and the fork).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loss_cls = MODELS.build({"type": "CrossEntropyLoss", "use_sigmoid": False})


class SmallResNeXt(ResNeXt):
    """ResNeXt with fewer blocks than upstream's smallest, for smoke scale."""

    arch_settings: ClassVar[dict[int, tuple[type[nn.Module], tuple[int, ...]]]] = {
        14: (Bottleneck, (1, 1, 1, 1)),
        17: (Bottleneck, (1, 1, 2, 1)),
        26: (Bottleneck, (2, 2, 2, 2)),
    }


class SmallSSDVGG(BaseModule):
    """SSD's VGG-16 layout with fewer channels and batch norm, for smoke scale.

    Args:
        channels: widths of the five stages.
        blocks: convolutions in each stage.
        wide_channels: width of the dilated convolution and the 1x1 one behind it.
        init_cfg: mmengine's initialisation.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[int],
        wide_channels: int,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg or {"type": "Kaiming", "layer": "Conv2d"})
        stages, width = [], 3
        for stage_width, count in zip(channels, blocks, strict=True):
            layers: list[nn.Module] = []
            for _ in range(count):
                layers += _convolution(width, stage_width, 3)
                width = stage_width
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.wide = nn.Sequential(
            *_convolution(width, wide_channels, 3, dilation=6),
            *_convolution(wide_channels, wide_channels, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps at stride 8 and 16."""
        outputs = []
        for number, stage in enumerate(self.stages):
            if number:
                x = nn.functional.max_pool2d(x, 2, ceil_mode=True)
            x = stage(x)
            outputs.append(x)
        return outputs[3], self.wide(nn.functional.max_pool2d(x, 3, stride=1, padding=1))


def _convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


_REPLACEMENTS: dict[str, type[nn.Module]] = {
    "RetinaHead": GlobalRetinaHead,
    "TOODHead": TaskAlignedHead,
    "SSDHead": SoftmaxSSDHead,
}
_ADDITIONS: dict[str, type[nn.Module]] = {
    "SmallResNeXt": SmallResNeXt,
    "SmallSSDVGG": SmallSSDVGG,
}


def register() -> None:
    """Put the modules under the names that configs use; upstream's own are replaced."""
    ROOT_MODELS.register_module("DCNv2", module=DeformableConv2d, force=True)
    for name, module in {**_REPLACEMENTS, **_ADDITIONS}.items():
        MODELS.register_module(name, module=module, force=True)


def upstream_name(module: nn.Module) -> str:
    """Return the name that configs use for a module's class."""
    for name, replacement in _REPLACEMENTS.items():
        if type(module) is replacement:
            return name
    return type(module).__name__
