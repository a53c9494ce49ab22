"""Reading other people's checkpoints: tensors only, whatever else is inside."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_tools.ground.errors import UserError

# What unpickling raises on a file that is none.
UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
# Under which key libraries keep the weights: mmdet, then this kit and Swin, then none.
_WEIGHT_KEYS = ("state_dict", "model")


class Inert(dict):
    """Takes the place of every non-tensor object in a checkpoint; whatever it is given is lost."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Accept the arguments of any constructor."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Accept any state."""


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint without running any code that it contains.

    mmdet's checkpoints hold optimizer states, logs and NumPy scalars beside the weights. Every
    class or function that they name is replaced by `Inert`, so nothing of them is imported.

    Raises:
        UserError: the file is missing, is no checkpoint, or holds no named tensors.
    """
    if not path.is_file():
        raise UserError("the checkpoint does not exist", where=path, expected="a .pth or .pt file")
    content = read_without_running(path)
    for key in _WEIGHT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    tensors = {}
    if isinstance(content, dict):
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(
            "there are no named tensors in the file",
            where=path,
            expected=f"a checkpoint with weights under {' or '.join(_WEIGHT_KEYS)}, or bare",
        )
    # Weights of a model that was wrapped for several GPUs.
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def read_without_running(path: Path, stand_in: type = Inert) -> Any:
    """Return what a checkpoint holds, `stand_in` in place of every class and function it names.

    Raises:
        UserError: the file is no checkpoint.
    """
    try:
        with torch.serialization.safe_globals(_substitutes(path, stand_in)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"the file cannot be read as a checkpoint of tensors ({reason})",
            where=path,
            expected="a file written by torch.save; only its tensors are read",
            next_step="download it again, or save its state_dict alone: "
            "torch.save(checkpoint['state_dict'], ...)",
        ) from error


def _substitutes(path: Path, stand_in: type) -> list[Any]:
    # Files in the format before torch 1.6 cannot be searched; plain weights load all the same.
    if not zipfile.is_zipfile(path):
        return []
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    return [(stand_in, name) for name in names]
