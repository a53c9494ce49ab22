"""A run folder after SIGKILL: no temporaries, and always a last checkpoint."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file
from data_tools.ground.paths import RunPaths
from models.engine.runs.folder import sole_trainer
from models.engine.training.resuming.checkpoint import load_checkpoint, load_last, save_last
from tests.builders.killing import killed_at_rename

HOLDER = """
import os, sys
from pathlib import Path
from data_tools.ground.paths import RunPaths
from models.engine.runs.folder import sole_trainer
with sole_trainer(RunPaths(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def saved(paths: RunPaths, step: int) -> None:
    save_last(paths, {"step": step, "weights": torch.full((3,), float(step))})


def step_in(path: Path) -> int:
    return load_checkpoint(path)["step"]


# Renames of a third checkpoint: temporary -> next.pt, last.pt -> previous.pt, next.pt -> last.pt.
@pytest.mark.parametrize(("renames_done", "newest"), [(0, 2), (1, 3), (2, 3)])
def test_a_run_killed_while_it_changes_checkpoints_has_a_last_one(tmp_path, renames_done, newest):
    paths = RunPaths(tmp_path)
    saved(paths, 1)
    saved(paths, 2)
    assert killed_at_rename(renames_done, lambda: saved(paths, 3))
    assert paths.last_checkpoint.exists() == (renames_done < 2)
    assert load_last(paths)[0]["step"] == newest  # readable before anything is put right
    with sole_trainer(paths):
        assert sorted(path.name for path in paths.checkpoints.iterdir()) == [
            "last.pt",
            "previous.pt",
        ]
        assert step_in(paths.last_checkpoint) == newest
        assert step_in(paths.previous_checkpoint) == newest - 1


def test_a_run_killed_while_it_makes_its_first_checkpoint_the_last_one(tmp_path):
    paths = RunPaths(tmp_path)
    assert killed_at_rename(1, lambda: saved(paths, 1))
    assert not paths.last_checkpoint.exists()
    with sole_trainer(paths):
        assert step_in(paths.last_checkpoint) == 1
        assert not paths.next_checkpoint.exists()


def test_the_holder_of_the_run_removes_what_killed_writers_left(tmp_path):
    paths = RunPaths(tmp_path)
    left = [
        "checkpoints/.next.0123abcd.tmp.pt",
        "checkpoints/.best.0123abcd.tmp.pt",
        "predictions/.val_epoch3.0123abcd.tmp.parquet",
        "ultralytics/training/weights/.last.0123abcd.tmp.pt",
        ".metrics.0123abcd.tmp.jsonl",
    ]
    for name in left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    prediction = paths.predictions("test")
    with whole_file(prediction) as temporary:  # another process predicts at the same time
        temporary.write_text("boxes")
        with sole_trainer(paths):
            files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
            assert sorted(files) == sorted([".lock", temporary.name])
    assert prediction.read_text() == "boxes"


def test_a_run_waits_for_the_end_of_processes_that_were_just_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    message = "another process is training this run"
    with pytest.raises(UserError, match=message), sole_trainer(RunPaths(tmp_path)):
        pass
    # It ends a moment after this process begins to wait.
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    with sole_trainer(RunPaths(tmp_path)):
        assert holder.wait() == -signal.SIGKILL
    killer.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
