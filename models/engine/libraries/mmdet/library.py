"""The one door to mmdet: the operators that mmcv lacks are put in place before it is imported.

Import mmdet's names from here, never from `mmdet` itself: `mmdet` cannot be imported without the
substitute for `mmcv._ext`. Importing this file takes seconds; do it inside the function that needs
it, not at the top of a command line.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from types import ModuleType

from models.engine.ops import mmcv_extension

mmcv_extension.install()

# What the libraries complain about at import is theirs to fix and only hides our own messages.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mmcv.ops import ModulatedDeformConv2dPack
    from mmdet.models.backbones.resnext import Bottleneck, ResNeXt
    from mmdet.models.dense_heads import RetinaHead, SSDHead, TOODHead
    from mmdet.registry import MODELS, TASK_UTILS
    from mmdet.structures import DetDataSample
    from mmdet.utils import reduce_mean
    from mmengine.config import ConfigDict
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.model import BaseModule
    from mmengine.registry import MODELS as ROOT_MODELS
    from mmengine.registry import WEIGHT_INITIALIZERS as INITIALIZERS
    from mmengine.registry import registry as registry_module
    from mmengine.structures import InstanceData


def _refuse_to_search(name: str) -> None:
    """Stand in for the search of a name that no registry knows."""
    raise LookupError(f"{name} is not registered")


def _import_own(name: str) -> ModuleType:
    """Stand in for a registry's import of the places where its parts are registered."""
    if name.partition(".")[0] not in ("mmcv", "mmdet", "mmengine"):
        raise ImportError(f"{name} is no place of registered parts")
    return import_module(name)


# Upstream's registries import what a config names as long as Python finds it somewhere.
registry_module.get_object_from_string = _refuse_to_search
registry_module.import_module = _import_own

__all__ = [
    "INITIALIZERS",
    "MODELS",
    "ROOT_MODELS",
    "TASK_UTILS",
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
