"""Too little shared memory is known before training begins, and never waited for in silence."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import Dataset

from data_tools.ground.errors import UserError
from models.engine.data.loader import BatchLoader
from models.engine.data.shared_memory import (
    LoadingStalledError,
    batch_bytes,
    bytes_needed,
    free_shared_memory,
    patience_seconds,
    workers_that_fit,
)
from tests.builders.training_cases import tiny_request, write_tiny_data

MIB = 2**20


def test_no_workers_need_nothing():
    assert bytes_needed(0, 5 * MIB) == 0
    assert workers_that_fit(0, 5 * MIB, is_asked=True, say=pytest.fail, free=lambda: 0) == 0


def test_a_batch_is_uint8_pictures_of_the_largest_size():
    assert batch_bytes([640, 320], 4) == 4 * 3 * 640 * 320
    assert batch_bytes([640, 320], 4, 1.5) == 4 * 3 * 960 * 480


def test_each_worker_is_two_batches_ahead_and_one_is_in_use():
    assert bytes_needed(2, 3 * MIB) == (2 * 2 + 1) * 3 * MIB


# A batch of 8 MiB; four fifths of the free memory are used. Two workers need 40, one needs 24.
@pytest.mark.parametrize(
    ("free", "fitting"), [(None, 2), (50, 2), (49, 1), (30, 1), (29, 0), (0, 0)]
)
def test_a_default_gives_way_and_says_so_and_a_wish_is_refused(free, fitting):
    said: list[str] = []
    options = {"free": lambda: None if free is None else free * MIB, "say": said.append}
    assert workers_that_fit(2, 8 * MIB, is_asked=False, **options) == fitting
    if fitting == 2:
        assert said == []
        assert workers_that_fit(2, 8 * MIB, is_asked=True, **options) == 2
        return
    assert len(said) == 1
    assert f"2 loading processes need 40.0 MiB of shared memory, /dev/shm has {free}.0" in said[0]
    assert f": {fitting} load. For more, start the container" in said[0]
    with pytest.raises(UserError) as caught:
        workers_that_fit(2, 8 * MIB, is_asked=True, **options)
    assert f"--workers {fitting} fits" in str(caught.value)
    assert "--shm-size=8g" in str(caught.value)


def test_a_system_without_the_folder_has_no_limit(tmp_path):
    assert free_shared_memory(tmp_path / "none") is None
    assert free_shared_memory(tmp_path) > 0


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "inf", "nan"])
def test_a_patience_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("BOXCAMP_LOADING_SECONDS", text)
    with pytest.raises(UserError, match="BOXCAMP_LOADING_SECONDS is"):
        patience_seconds()


def train_command(root: Path, *options: str) -> list[str]:
    request = tiny_request(root)
    overrides = [word for text in request.overrides for word in ("--set", text)]
    return [
        sys.executable, "-m", "models", "train", "yolox", "--data", str(request.data_root),
        "--work", str(request.work_root), "--fold", "0", "--scale", "smoke", "--epochs", "400",
        "--batch", "4", "--device", "cpu", *overrides, *options,
    ]  # fmt: skip


def with_small_shared_memory(kib: int, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script that sees a /dev/shm of so many KiB of its own."""
    mount = f"mount -t tmpfs -o size={kib}k tmpfs /dev/shm || exit 99; {script}"
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", mount], capture_output=True, text=True, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "BOXCAMP_LOADING_SECONDS": "5"},
    )  # fmt: skip


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return with_small_shared_memory(64, "true").returncode == 0


@pytest.mark.slow
def test_training_with_too_little_shared_memory_is_refused(tmp_path):
    if not can_mount():
        pytest.skip("a small /dev/shm needs the right to mount one")
    write_tiny_data(tmp_path)
    # A batch is 4 x 3 x 64 x 64 = 48 KiB: two workers need 240 of 400.
    refused = with_small_shared_memory(
        200, shlex.join(train_command(tmp_path, "--workers", "2", "--name", "refused"))
    )
    assert refused.returncode == 2
    assert "2 loading processes need 0.2 MiB of shared memory" in refused.stderr
    assert "--workers 1 fits" in refused.stderr
    assert not (tmp_path / "work" / "runs").exists()


@pytest.mark.slow
def test_training_ends_with_a_checkpoint_where_shared_memory_fills_up(tmp_path):
    if not can_mount():
        pytest.skip("a small /dev/shm needs the right to mount one")
    write_tiny_data(tmp_path)
    metrics = tmp_path / "work/runs/full/fold0/metrics.jsonl"
    # Again and again: what the batches on their way hold when it is full is free once they are
    # used, and training would rightly go on in that.
    fill = (
        f"(until grep -q step {metrics} 2>/dev/null; do sleep 0.1; done; while kill -0 $$;"
        " do cat /dev/zero >> /dev/shm/other; sleep 0.01; done) >/dev/null 2>&1 & "
    )
    train = shlex.join(train_command(tmp_path, "--workers", "2", "--name", "full"))
    done = with_small_shared_memory(400, f"{fill} {train}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(
        "the loading processes hand nothing over any more|died of a bus error"
        "|loading processes cannot be started",
        done.stderr,
    )
    assert "/dev/shm has" in done.stderr
    assert "continue with --resume --workers 0" in done.stderr
    assert "Traceback" not in done.stderr
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = sum(record["kind"] == "epoch" for record in records)
    # An epoch has three steps; it may have ended between the third and its validation.
    step = records[-1]["step"] - 3 * epochs
    expected = f"resuming in epoch {epochs + 1} after step {step}"
    again = train_command(tmp_path, "--workers", "0", "--name", "full", "--resume")
    with subprocess.Popen(again, stdout=subprocess.PIPE, text=True) as resumed:
        assert any(expected in line for line in resumed.stdout or ())
        resumed.kill()


class Slow(Dataset[int]):
    """Its second item takes for ever."""

    def __getitem__(self, index: int) -> int:
        if index:
            time.sleep(60)
        return index

    def __len__(self) -> int:
        return 2


def test_a_batch_that_never_comes_ends_the_wait(monkeypatch):
    monkeypatch.setenv("BOXCAMP_LOADING_SECONDS", "1")
    batches = iter(BatchLoader(Slow(), workers=1, batch_size=1))
    assert next(batches) == [0]
    with pytest.raises(LoadingStalledError, match="hand nothing over") as caught:
        next(batches)
    assert "a batch within 1 s (BOXCAMP_LOADING_SECONDS" in str(caught.value)
    assert "--resume --workers 0" in str(caught.value)


def test_workers_end_with_a_main_process_that_is_killed(repository):
    code = (
        "import os, time; from torch.utils.data import Dataset\n"
        "from models.engine.data.loader import BatchLoader\n"
        "class Numbers(Dataset):\n"
        "    def __getitem__(self, index): return os.getpid()\n"
        "    def __len__(self): return 9\n"
        "print(next(iter(BatchLoader(Numbers(), workers=1, batch_size=1)))[0], flush=True)\n"
        "batches = iter(BatchLoader(Numbers(), workers=1, batch_size=1))\n"
        "print(next(batches)[0], flush=True); time.sleep(60)\n"
    )
    main = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=repository
    )
    assert main.stdout is not None
    main.stdout.readline()
    worker = int(main.stdout.readline())
    main.kill()
    main.wait()
    # Left to itself, a worker looks for its parent every five seconds.
    deadline = time.monotonic() + 3
    while Path(f"/proc/{worker}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    assert time.monotonic() < deadline


class Numbers(Dataset[int]):
    """Its items are numbers."""

    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        return 12


@pytest.mark.parametrize(
    ("number", "is_reaped", "reason"),
    [
        (signal.SIGBUS, False, "died of a bus error: shared memory was full"),
        (signal.SIGKILL, False, "was killed, as the system does where memory runs out"),
        # What multiprocessing does whenever it starts another process.
        (signal.SIGBUS, True, "ended while it handed over a batch"),
    ],
)
def test_a_worker_that_dies_is_heard_of_at_the_next_batch(number, is_reaped, reason):
    batches = iter(BatchLoader(Numbers(), workers=2, batch_size=1))
    next(batches)
    worker = multiprocessing.active_children()[0]
    # What torch would raise in here, the middle of a step, is a RuntimeError.
    os.kill(worker.pid, number)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    if is_reaped:
        worker.join()
    with pytest.raises(LoadingStalledError, match=reason):
        next(batches)
    assert multiprocessing.active_children() == []
