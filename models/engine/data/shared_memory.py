"""Shared memory that loading processes need, and what to do where there is too little of it.

Workers hand their batches over in /dev/shm. Where it is full, a batch is lost without a word and
the main process waits for it for ever, or the worker dies of a bus error. A container of Docker has
64 MB of it unless it is told otherwise.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from data_tools.ground.errors import UserError

FOLDER = Path("/dev/shm")
BATCHES_AHEAD = 2  # per worker; torch's default
# For the other users of shared memory: libraries, other runs that are about to begin.
SHARE_TO_USE = 0.8
MORE_OF_IT = "start the container with more of it: docker run --shm-size=8g (or --ipc=host)"


def free_shared_memory(folder: Path = FOLDER) -> int | None:
    """Return the free bytes; None where the system has no such folder."""
    return shutil.disk_usage(folder).free if folder.is_dir() else None


def batch_bytes(size_wh: Sequence[int], batch_size: int, largest_scale: float = 1.0) -> int:
    """Return the bytes of a batch of uint8 pictures of three channels.

    Args:
        size_wh: width and height in pixels.
        batch_size: pictures.
        largest_scale: of `augment.multi_scale`, which changes the size of whole batches.
    """
    width, height = size_wh
    return round(batch_size * 3 * width * height * largest_scale**2)


def bytes_needed(workers: int, one_batch: int) -> int:
    """Return what `workers` processes fill at most: their batches ahead, and the one in use."""
    return (workers * BATCHES_AHEAD + 1) * one_batch if workers else 0


def workers_that_fit(
    workers: int,
    one_batch: int,
    *,
    is_asked: bool,
    say: Callable[[str], None],
    free: Callable[[], int | None] = free_shared_memory,
) -> int:
    """Return how many processes may load: `workers`, or fewer where that was only a default.

    Args:
        workers: as configured.
        one_batch: bytes of a batch.
        is_asked: the user gave the number: it is not changed.
        say: receives a sentence where there will be fewer.
        free: tells the free bytes of shared memory.

    Raises:
        UserError: the user asked for more than there is room for.
    """
    bytes_free = free()
    if bytes_free is None or bytes_needed(workers, one_batch) <= SHARE_TO_USE * bytes_free:
        return workers
    fitting = next(
        number
        for number in range(workers - 1, -1, -1)
        if bytes_needed(number, one_batch) <= SHARE_TO_USE * bytes_free
    )
    text = (
        f"{workers} loading processes need {_mib(bytes_needed(workers, one_batch))} of shared "
        f"memory, {FOLDER} has {_mib(bytes_free)} free"
    )
    if is_asked:
        raise UserError(
            text,
            where=FOLDER,
            next_step=f"--workers {fitting} fits (--set workers={fitting}); or {MORE_OF_IT}",
        )
    say(f"{text}: {fitting} load. For more, {MORE_OF_IT}")
    return fitting


class LoadingStalledError(UserError):
    """A loading process hands nothing over any more."""


def stalled(reason: str) -> LoadingStalledError:
    """Return the error for a loader whose workers hand nothing over."""
    free = free_shared_memory()
    return LoadingStalledError(
        reason if free is None else f"{reason}; {FOLDER} has {_mib(free)} free",
        where=FOLDER if free is not None else None,
        expected=f"a batch within {patience_seconds():g} s "
        "(BOXCAMP_LOADING_SECONDS allows for slower disks)",
        next_step=f"continue with --resume --workers 0; or {MORE_OF_IT}",
    )


def patience_seconds() -> float:
    """Return how long a batch is waited for before something must be wrong.

    Raises:
        UserError: BOXCAMP_LOADING_SECONDS is no positive number.
    """
    text = os.environ.get("BOXCAMP_LOADING_SECONDS", "600")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(
            f"BOXCAMP_LOADING_SECONDS is {text!r}", expected="a number of seconds above 0"
        )
    return seconds


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
