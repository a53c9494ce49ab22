"""Epochs that the process noted itself."""

from __future__ import annotations

from models.engine.libraries.ultralytics.epoch_records import (
    forget_epochs,
    note_epoch,
    noted_epochs,
)
from models.engine.libraries.ultralytics.library_paths import LibraryPaths


def test_nothing_was_noted(tmp_path):
    assert noted_epochs(LibraryPaths(tmp_path), 9) == {}
    forget_epochs(LibraryPaths(tmp_path))


def test_the_latest_record_of_each_earlier_epoch_is_taken(tmp_path):
    for epoch, loss in ((0, 3.0), (1, 2.0), (2, 1.0), (1, 1.5)):  # 1 was trained twice
        note_epoch(LibraryPaths(tmp_path), {"epoch": epoch, "train_loss": loss})
    with LibraryPaths(tmp_path).epochs_jsonl.open("a") as file:
        file.write('{"epoch": 0, "trai')  # cut off by a kill
    assert [
        record["train_loss"] for record in noted_epochs(LibraryPaths(tmp_path), 2).values()
    ] == [3.0, 1.5]
    assert list(noted_epochs(LibraryPaths(tmp_path), 3)) == [0, 1, 2]
    assert noted_epochs(LibraryPaths(tmp_path), 0) == {}
    forget_epochs(LibraryPaths(tmp_path))
    assert noted_epochs(LibraryPaths(tmp_path), 9) == {}
