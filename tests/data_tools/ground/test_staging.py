"""Sets of files under kill -9: the file that vouches for the others leaves first, comes last."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.folds.split import read_split, split_dataset, write_split
from data_tools.ground.staging import is_unfinished, staged_files
from data_tools.sample.dataset import SampleParameters, write_sample
from tests.builders.coco_cases import random_coco

# Runs its first argument after arranging that the process is killed at the n-th rename or removal
# inside the folder, as the audit events of Python count them.
KILLER = """
import os, signal, sys
code, folder, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove") and str(arguments[0]).startswith(folder):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
sys.addaudithook(count)
exec(code)
"""


def run_until(code: str, folder: Path, step: int) -> bool:
    """Run code, killed at a step; say whether it was."""
    done = subprocess.run([sys.executable, "-c", KILLER, code, str(folder), str(step)])
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def split_code(train: Path, folder: Path, folds: int, seed: int) -> str:
    return (
        "from pathlib import Path\n"
        "from data_tools.folds.split import split_dataset, write_split\n"
        f"write_split(Path({str(folder)!r}), *split_dataset("
        f"Path({str(train)!r}), folds={folds}, seed={seed}, scheme='seed'))"
    )


def test_split_json_never_vouches_for_folds_of_another_split(tmp_path):
    train, folder = tmp_path / "train.json", tmp_path / "folds"
    write_coco(train, random_coco(np.random.default_rng(0), 9))
    before = (*split_dataset(train, folds=3, seed=1, scheme="seed"),)
    step, was_killed, without_marker = 0, True, 0
    while was_killed:
        write_split(folder, *before)
        was_killed = run_until(split_code(train, folder, 2, 2), folder, step)
        step += 1
        if not (folder / "split.json").exists():
            assert is_unfinished(folder)
            without_marker += 1
            continue
        split = read_split(folder / "split.json")
        assert len(list(folder.glob("val_*.json"))) == split.folds
        for fold in range(split.folds):
            held_out = read_coco(folder / f"val_{fold}.json")
            assert set(held_out.file_names) == split.file_names(fold)
    # 5 files into the stage; the old marker, 2 old files, 4 new ones and the marker are moved.
    assert without_marker == 2 + 4 + 1
    assert read_split(folder / "split.json").seed == 2


def test_a_killed_split_is_repaired_by_the_next(tmp_path):
    train, folder = tmp_path / "train.json", tmp_path / "folds"
    write_coco(train, random_coco(np.random.default_rng(0), 9))
    assert run_until(split_code(train, folder, 2, 2), folder, 8)
    assert is_unfinished(folder)
    write_split(folder, *split_dataset(train, folds=2, seed=2, scheme="seed"))
    assert not is_unfinished(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["split.json", "train_0.json", "train_1.json", "val_0.json", "val_1.json"]


def test_a_killed_sample_is_drawn_again(tmp_path):
    root = tmp_path / "sample"
    code = (
        "from pathlib import Path\n"
        "from data_tools.sample.dataset import SampleParameters, write_sample\n"
        f"write_sample(Path({str(root)!r}), SampleParameters(2, 1, 64, 1), tick=lambda: None)"
    )
    # 4 files are renamed into the stage, then the marker is removed, then pictures are moved.
    assert run_until(code, root, 7)
    assert not (root / "sample.json").exists()
    assert (root / "hidden/test_truth.json").exists() or (root / "test/0000.jpg").exists()
    small = SampleParameters(2, 1, 64, 1)
    assert write_sample(root, small, tick=lambda: None) == "drawn"
    assert json.loads((root / "sample.json").read_text())["parameters"]["seed"] == 1
    assert not is_unfinished(root)


def test_a_writer_that_is_alive_keeps_its_stage(tmp_path):
    with staged_files(tmp_path) as first:
        (first / "a").write_text("1")
        with staged_files(tmp_path) as second:
            (second / "b").write_text("2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("marker", ["m", None])
def test_a_block_that_fails_leaves_marker_and_files(tmp_path, marker):
    (tmp_path / "m").write_text("old")
    with (
        pytest.raises(RuntimeError),
        staged_files(tmp_path, marker=marker, obsolete=[tmp_path / "m"]) as stage,
    ):
        (stage / "m").write_text("new")
        raise RuntimeError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"m": "old"}
