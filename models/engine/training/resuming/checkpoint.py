"""Checkpoints written whole, the one before kept, a torn last one noticed."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
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
# What must stand in a checkpoint, and of which kind.
BEST_KEYS: Mapping[str, type | tuple[type, ...]] = {"model": Mapping, "epoch": int, "val": Mapping}
LAST_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "progress": Mapping,
    "model": Mapping,
    "optimizer": Mapping,
    "scaler": Mapping,
    "average": (Mapping, type(None)),
    "random": list,
    "micro_batch": int,
}


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists, dicts), whole or not at all."""
    with whole_file(path) as temporary:
        write_state(temporary, {"format_version": FORMAT_VERSION, **state})


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` as it is, into a file that is not whole until this returns.

    Raises:
        OSError: what the system refused, such as a full disk, with the path.
    """
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


def load_checkpoint(
    path: str | Path,
    *,
    keys: Mapping[str, type | tuple[type, ...]] = MappingProxyType({}),
    map_location: str = "cpu",
) -> dict[str, Any]:
    """Read a checkpoint, tensors only (`weights_only=True`), after checking every byte's CRC.

    Args:
        path: the file.
        keys: what must stand in it, and of which kind: `BEST_KEYS`, `LAST_KEYS`.
        map_location: device of the tensors.

    Raises:
        UserError: the file is missing, torn, holds more than tensors and plain values, or lacks a
            key.
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
        state = torch.load(path, map_location=map_location, weights_only=True)
    except (zipfile.BadZipFile, *_UNREADABLE) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(
            f"the checkpoint cannot be read ({reason})",
            where=path,
            expected="a checkpoint that this kit wrote",
            next_step="it may have been cut off: use another one, or train again",
        ) from None
    _check_keys(path, state, keys)
    return state


def _check_keys(path: Path, state: Any, keys: Mapping[str, type | tuple[type, ...]]) -> None:
    if not isinstance(state, dict):
        faults = [f"it holds a {type(state).__name__}"]
    else:
        faults = [
            f"`{key}` is missing"
            if key not in state
            else f"`{key}` is a {type(state[key]).__name__}"
            for key, kind in keys.items()
            if not isinstance(state.get(key), kind) or key not in state
        ]
    if faults:
        raise UserError(
            f"this is no checkpoint of this kit: {'; '.join(faults)}",
            where=path,
            expected=f"a checkpoint with {', '.join(keys) or 'named entries'}",
            next_step="use another one, or train again",
        )


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


def load_last(
    paths: RunPaths, *, keys: Mapping[str, type | tuple[type, ...]] = MappingProxyType({})
) -> tuple[dict[str, Any] | None, list[str]]:
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
            return load_checkpoint(path, keys=keys), messages
        except UserError as error:
            messages.append(f"{path}: {error.what}; falling back to the checkpoint before it")
    if messages:
        messages[-1] = messages[-1].split("; falling back")[0] + "; no earlier one is left"
    return None, messages
