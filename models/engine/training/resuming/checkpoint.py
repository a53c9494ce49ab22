"""Checkpoints written whole, the one before kept, a torn last one noticed."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file
from data_tools.ground.paths import RunPaths
from models.engine.runs.after_kill import put_next_in_place

# Raised by torch.load and zipfile on files that are cut off, overwritten, or no checkpoints.
_UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError)
FORMAT_VERSION = 1


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists, dicts), whole or not at all."""
    with whole_file(path) as temporary:
        _save(temporary, {"format_version": FORMAT_VERSION, **state})


def _save(path: Path, state: dict[str, Any]) -> None:
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        # torch covers the system's refusal, such as a full disk, with a complaint of its own.
        refusal = error if isinstance(error, OSError) else error.__context__
        if not isinstance(refusal, OSError):
            raise
        raise OSError(refusal.errno, refusal.strerror, str(path)) from None


def save_last(paths: RunPaths, state: dict[str, Any]) -> None:
    """Write the last checkpoint and keep the one before it as `previous.pt`.

    The old one is renamed only once the new one is complete on disk: at no moment is there
    neither.
    """
    save_checkpoint(paths.next_checkpoint, state)
    put_next_in_place(paths)


def load_checkpoint(path: str | Path, *, map_location: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint, tensors only (`weights_only=True`), after checking every byte's CRC.

    Raises:
        UserError: the file is missing, torn, or holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("the checkpoint does not exist", where=path, next_step="train the model")
    try:
        # torch skips the archive's checksums when it reads; a torn disk block would go unseen.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"the checkpoint is damaged (part {damaged})", where=path)
        return torch.load(path, map_location=map_location, weights_only=True)
    except (zipfile.BadZipFile, *_UNREADABLE) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(
            f"the checkpoint cannot be read ({reason})",
            where=path,
            expected="a checkpoint that this kit wrote",
            next_step="it may have been cut off: use another one, or train again",
        ) from None


def load_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Load a whole state dict that this kit saved.

    mmcv's deformable convolutions announce their version on every load: that is not printed.
    """
    level = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        model.load_state_dict(weights)
    finally:
        logging.disable(level)


def load_last(paths: RunPaths) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the newest readable checkpoint of a run, and messages about unreadable ones.

    Returns:
        (state, messages); state is None when there is nothing to resume from.
    """
    # The next one is there after a kill between the renames of `save_last`.
    candidates = [paths.next_checkpoint, paths.last_checkpoint, paths.previous_checkpoint]
    messages: list[str] = []
    for path in candidates:
        if not path.is_file():
            continue
        try:
            return load_checkpoint(path), messages
        except UserError as error:
            messages.append(f"{path}: {error.what}; falling back to the checkpoint before it")
    if messages:
        messages[-1] = messages[-1].split("; falling back")[0] + "; no earlier one is left"
    return None, messages
