"""Ctrl-C while `make` trains two of the sample's models side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_tools.ground.paths import RunPaths
from tests.builders.demo import TINY_ENVIRONMENT, TINY_TRAINING, copy_checkout, run_in

MODELS = ("retinanet", "yolox")
TARGETS = ["fuse", f"MEMBERS={' '.join(MODELS)}"]
SETTINGS = {"TRAIN_FLAGS": f"{TINY_TRAINING} --epochs 4 --set log.every_steps=1"}
# A shell that starts the tests in the background makes them, and make, deaf to Ctrl-C.
HEARING = (
    "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execvp('make', sys.argv[1:])"
)


def start_make(root: Path) -> subprocess.Popen[bytes]:
    """Start make as a terminal does: in a process group of its own, which gets the Ctrl-C."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    with (root / "output.txt").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", HEARING, "make", *TARGETS],
            cwd=root,
            env={**inherited, **TINY_ENVIRONMENT, **SETTINGS},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def running_in_session(session: int) -> list[str]:
    """Return the commands of the living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of_process = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it ended meanwhile
        if int(of_process) == session and state != "Z":
            found.append(command)
    return found


@pytest.mark.slow
def test_ctrl_c_saves_both_runs_and_the_next_make_resumes(tmp_path: Path, repository: Path) -> None:
    root = tmp_path / "box camp"
    copy_checkout(repository, root)
    runs = [RunPaths(root / "work" / "runs" / model / "fold3") for model in MODELS]
    make = start_make(root)
    until = time.monotonic() + 300
    while not all(run.metrics_jsonl.is_file() and run.metrics_jsonl.stat().st_size for run in runs):
        assert make.poll() is None, (root / "output.txt").read_text()
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(make.pid, signal.SIGINT)
    status = make.wait(timeout=60)
    # make ends by the signal itself: a shell reports 130.
    assert status == -signal.SIGINT
    assert running_in_session(make.pid) == []
    output = (root / "output.txt").read_text()
    assert "Traceback" not in output
    for model, run in zip(MODELS, runs, strict=True):
        assert f"{model} | stopped by SIGINT; the checkpoint is saved" in output
        assert run.last_checkpoint.is_file()
        assert not run.finished_json.exists()
        assert json.loads(run.run_json.read_text())["state"] == "interrupted"

    again = run_in(root, "make", *TARGETS, environment=SETTINGS)
    assert again.returncode == 0, again.stdout + again.stderr
    for model, run in zip(MODELS, runs, strict=True):
        assert f"{model} | resuming in epoch" in again.stdout
        records = [json.loads(line) for line in run.metrics_jsonl.read_text().splitlines()]
        steps = [record["step"] for record in records if record["kind"] == "step"]
        assert steps == list(range(1, len(steps) + 1))  # none twice, none missing
        assert [r["epoch"] for r in records if r["kind"] == "epoch"] == [0, 1, 2, 3]
