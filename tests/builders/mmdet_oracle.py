"""mmdet's own transforms, to compare with."""

from __future__ import annotations

import warnings
from types import ModuleType

from models.engine.ops import mmcv_extension


def load_mmdet_transforms() -> ModuleType:
    """Import the module that holds mmdet's `Mosaic`, `MixUp`, `RandomAffine` and the like."""
    mmcv_extension.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mmdet.datasets.transforms import transforms
    return transforms
