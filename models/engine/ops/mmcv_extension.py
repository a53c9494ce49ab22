"""Stands in for `mmcv._ext`, the compiled module that a plain pip install of mmcv lacks.

`install()` puts a module of that name into `sys.modules`; mmcv's own Python layer then finds the
operators that one-stage detectors call (`mmcv_operators`). Any other operator raises an error that
names it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from models.engine.ops.mmcv_operators.deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from models.engine.ops.mmcv_operators.errors import MODULE_NAME, MissingOperatorError
from models.engine.ops.mmcv_operators.focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
)
from models.engine.ops.mmcv_operators.suppression import nms, softnms


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
