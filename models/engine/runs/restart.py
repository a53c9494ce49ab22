"""Out of memory in one of several processes: word of it for the next start, which all make."""

from __future__ import annotations

from typing import cast

from data_tools.ground.files import write_json
from data_tools.ground.paths import RunPaths
from models.engine.runs.files import MicroBatchNote, read_checked

# Exit status that makes the launcher begin again (sysexits' EX_TEMPFAIL).
OUT_OF_MEMORY_STATUS = 75


class SmallerPassesNeeded(Exception):
    """One of several processes ran out of memory: all begin again with fewer images at a time.

    The others wait for it inside a collective operation, so they cannot be told to do the step
    again.

    Args:
        message: what happened, for the user; empty where another process says it.
        micro_batch: images at a time from now on.
    """

    def __init__(self, message: str, micro_batch: int) -> None:
        super().__init__(message)
        self.micro_batch = micro_batch


def note_micro_batch(paths: RunPaths, size: int) -> None:
    """Leave word in the run folder that no more images at a time fit."""
    write_json(paths.micro_batch_json, {"micro_batch": size})


def noted_micro_batch(paths: RunPaths) -> int | None:
    """Return how many images at a time are known to fit; None while memory sufficed."""
    note = paths.micro_batch_json
    if not note.is_file():
        return None
    return cast(int, read_checked(note, MicroBatchNote)["micro_batch"])


def forget_micro_batch(paths: RunPaths) -> None:
    """Remove the note, for a run that starts afresh."""
    paths.micro_batch_json.unlink(missing_ok=True)
