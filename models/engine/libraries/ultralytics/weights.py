"""Weights for YOLO11 from a file: the kit's checkpoints, bare tensors, or ultralytics' own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from data_tools.ground.errors import UserError
from models.engine.weights.checkpoint_files import read_without_running


class PickledObject:
    """Takes the place of every class in the file: keeps the state, runs nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> PickledObject:
        """Accept the arguments of any constructor."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


def matching_weights(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those tensors of a checkpoint whose names and shapes the model has.

    Args:
        path: a `.pt` file; ultralytics' hold whole pickled objects, of which only the tensors are
            read and nothing is run.
        wanted: the model's `state_dict()`.

    Raises:
        UserError: the file is missing or unreadable, or not one tensor fits.
    """
    if not path.is_file():
        raise UserError("the weights file does not exist", where=path, expected="a .pt file")
    found = _named_tensors(read_without_running(path, PickledObject))
    fitting = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
        if name in wanted and tensor.shape == wanted[name].shape
    }
    if not fitting:
        raise UserError(
            f"none of the {len(found)} tensors in the file fits this model",
            where=path,
            expected="weights of the same size (--set architecture.size=n, s, m, l or x)",
        )
    return fitting


def _named_tensors(content: Any) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        # ultralytics' checkpoints of unfinished runs have the weights under `ema`.
        for key in ("model", "ema", "state_dict"):
            if content.get(key) is not None:
                return _named_tensors(content[key])
        return {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return dict(_module_tensors(content, "")) if isinstance(content, PickledObject) else {}


def _module_tensors(module: PickledObject, prefix: str) -> list[tuple[str, Tensor]]:
    state = module.state if isinstance(module.state, dict) else {}
    pairs = [
        (f"{prefix}{name}", value)
        for kind in ("_parameters", "_buffers")
        for name, value in (state.get(kind) or {}).items()
        if isinstance(value, Tensor)
    ]
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, PickledObject):
            pairs += _module_tensors(child, f"{prefix}{name}.")
    return pairs
