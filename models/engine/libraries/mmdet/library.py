"""The one door to mmdet: the operators that mmcv lacks are put in place before it is imported.

Import mmdet's names from here, never from `mmdet` itself: `mmdet` cannot be imported without the
substitute for `mmcv._ext`. Importing this file takes seconds; do it inside the function that needs
it, not at the top of a command line.
"""

from __future__ import annotations

import warnings

from models.engine.ops import mmcv_extension

mmcv_extension.install()

# What the libraries complain about at import is theirs to fix and only hides our own messages.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mmcv.ops import ModulatedDeformConv2dPack
    from mmdet.models.backbones.resnext import Bottleneck, ResNeXt
    from mmdet.models.dense_heads import RetinaHead, SSDHead, TOODHead
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.utils import reduce_mean
    from mmengine.config import ConfigDict
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.model import BaseModule
    from mmengine.registry import MODELS as ROOT_MODELS
    from mmengine.structures import InstanceData

__all__ = [
    "MODELS",
    "ROOT_MODELS",
    "BaseModule",
    "Bottleneck",
    "ConfigDict",
    "DetDataSample",
    "InstanceData",
    "MMLogger",
    "MessageHub",
    "ModulatedDeformConv2dPack",
    "ResNeXt",
    "RetinaHead",
    "SSDHead",
    "TOODHead",
    "reduce_mean",
]
