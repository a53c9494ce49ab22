"""What the ultralytics process itself notes about each epoch, for when its parent is killed.

The parent writes `metrics.jsonl` from what it is told. Killed, it may not have heard of an epoch
whose checkpoint is saved; resuming then goes on after it, so its line is made from these records.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from data_tools.ground.files import open_in_place
from models.engine.libraries.ultralytics.library_paths import LibraryPaths


def note_epoch(library: LibraryPaths, record: Mapping[str, Any]) -> None:
    """Append the record of an epoch and flush it to disk: its checkpoint is saved afterwards.

    Args:
        library: the library's files inside the run.
        record: `epoch` (from 0), `train_loss`, `val`, `is_best`, `seconds` that it took,
            `steps_per_epoch` and `parameters`.
    """
    with open_in_place(library.epochs_jsonl, "a") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def forget_epochs(library: LibraryPaths) -> None:
    """Remove the records of an earlier start, for a run that begins afresh."""
    library.epochs_jsonl.unlink(missing_ok=True)


def noted_epochs(library: LibraryPaths, before: int) -> dict[int, dict[str, Any]]:
    """Return the latest record of each epoch that is below `before`, in order of epochs.

    Lines that a kill cut off, or that lack something, are passed over.
    """
    path = library.epochs_jsonl
    found: dict[int, dict[str, Any]] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
            epoch = int(record["epoch"])
        except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
            continue
        if epoch < before:
            found[epoch] = record
    return dict(sorted(found.items()))
