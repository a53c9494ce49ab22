"""Killed, stopped or torn at any moment: the resumed run ends with the very same bits."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from models.engine.libraries.mmdet.detector import MmdetDetector
from models.engine.runs.folder import sole_trainer
from models.engine.runs.request import TrainRequest
from models.engine.training.resuming.checkpoint import load_checkpoint
from models.engine.training.resuming.interrupt import Interruption
from models.train import train
from tests.builders.training_cases import quiet_console, tiny_request, write_tiny_data

pytestmark = pytest.mark.slow

# Mosaic, affine, averaged weights and frequent checkpoints: everything that has a state.
OPTIONS = (
    "augment.mosaic=0.5",
    "augment.affine.probability=0.5",
    "augment.hsv.probability=0.5",
    "ema.momentum=0.01",
    "checkpoint.every_steps=2",
    "schedule.no_augment_epochs=1",
)
STEPS = 6  # two epochs of three


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("resume")
    write_tiny_data(root)
    return root


def request_named(root: Path, name: str, **options: object) -> TrainRequest:
    return tiny_request(root, *OPTIONS, name=name, **options)


def final_state(root: Path, name: str) -> dict:
    return load_checkpoint(RunPaths(root / "work" / "runs" / name / "fold0").last_checkpoint)


@pytest.fixture(scope="module")
def never_killed(root: Path) -> dict:
    train(request_named(root, "never_killed"), quiet_console())
    return final_state(root, "never_killed")


def assert_same_bits(first: object, second: object, where: str = "") -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key, value in first.items():
            assert_same_bits(value, second[key], f"{where}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for position, value in enumerate(first):
            assert_same_bits(value, second[position], f"{where}/{position}")
    else:
        assert first == second, where


def assert_same_training(state: dict, reference: dict) -> None:
    for part in ("model", "average", "optimizer", "random"):
        assert_same_bits(state[part], reference[part], part)
    assert state["progress"]["epoch"] == reference["progress"]["epoch"]
    assert state["progress"]["loss_sum"] == reference["progress"]["loss_sum"]


def start_in_subprocess(root: Path, name: str) -> subprocess.Popen:
    request = request_named(root, name)
    overrides = [argument for text in request.overrides for argument in ("--set", text)]
    command = [
        sys.executable, "-m", "models", "train", "yolox", "--data", str(request.data_root),
        "--work", str(request.work_root), "--fold", "0", "--scale", "smoke", "--epochs", "2",
        "--batch", "4", "--workers", "0", "--device", "cpu", "--name", name, *overrides,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_steps(process: subprocess.Popen, metrics: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.is_file() and metrics.read_text().count('"kind": "step"') >= steps:
            return
        time.sleep(0.002)
    raise AssertionError(f"the run never came to step {steps}: {process.stdout.read()}")


def metrics_of(root: Path, name: str) -> Path:
    return root / "work" / "runs" / name / "fold0" / "metrics.jsonl"


def logged_steps(root: Path, name: str) -> list[int]:
    records = [json.loads(line) for line in metrics_of(root, name).read_text().splitlines()]
    return [record["step"] for record in records if record["kind"] == "step"]


def test_sigkill_at_a_random_step_then_resume(root: Path, never_killed: dict) -> None:
    step = random.Random(os.environ.get("KILL_SEED")).randint(1, STEPS - 1)
    process = start_in_subprocess(root, "killed")
    wait_for_steps(process, metrics_of(root, "killed"), step)
    process.kill()
    process.wait()
    assert not (metrics_of(root, "killed").parent / "finished.json").exists()
    train(request_named(root, "killed", resume=True), quiet_console())
    assert_same_training(final_state(root, "killed"), never_killed)
    assert logged_steps(root, "killed") == [1, 2, 3, 4, 5, 6], f"killed after step {step}"


def test_sigterm_saves_says_how_to_go_on_and_resumes(root: Path, never_killed: dict) -> None:
    process = start_in_subprocess(root, "stopped")
    wait_for_steps(process, metrics_of(root, "stopped"), 1)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 143, output
    assert "--name stopped" in output.split("Continue with:")[1]
    assert output.rstrip().endswith("--resume")
    run = json.loads((metrics_of(root, "stopped").parent / "run.json").read_text())
    assert run["state"] == "interrupted"
    train(request_named(root, "stopped", resume=True), quiet_console())
    assert_same_training(final_state(root, "stopped"), never_killed)


class Killed(BaseException):
    """Stands for a power loss at a known moment."""


def killed_in_step(number: int) -> Callable[[MmdetDetector, list], dict]:
    """A detector's loss that is computed until step `number`, counted from 1."""
    real_loss, steps = MmdetDetector.loss, itertools.count(1)

    def loss(detector: MmdetDetector, batch: list) -> dict:
        if next(steps) == number:
            raise Killed
        return real_loss(detector, batch)

    return loss


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_in_any_step(
    root: Path, never_killed: dict, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"lost{step}"
    with monkeypatch.context() as patch:
        patch.setattr(MmdetDetector, "loss", killed_in_step(step))
        with pytest.raises(Killed):
            train(request_named(root, name), quiet_console())
    train(request_named(root, name, resume=True), quiet_console())
    assert_same_training(final_state(root, name), never_killed)
    assert logged_steps(root, name) == [1, 2, 3, 4, 5, 6]


def test_stopped_inside_the_validation(
    root: Path, never_killed: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_predict = MmdetDetector.predict

    def predict_after_signal(detector: MmdetDetector, batch: list) -> list:
        os.kill(os.getpid(), signal.SIGINT)
        return real_predict(detector, batch)

    with monkeypatch.context() as patch:
        patch.setattr(MmdetDetector, "predict", predict_after_signal)
        with pytest.raises(Interruption) as caught:
            train(request_named(root, "validating"), quiet_console())
    assert caught.value.exit_status == 130
    run = json.loads((metrics_of(root, "validating").parent / "run.json").read_text())
    assert run["state"] == "interrupted"
    assert final_state(root, "validating")["progress"]["step"] == STEPS / 2
    train(request_named(root, "validating", resume=True), quiet_console())
    assert_same_training(final_state(root, "validating"), never_killed)


def test_torn_last_checkpoint_falls_back_to_the_one_before(root: Path, never_killed: dict) -> None:
    paths = RunPaths(root / "work" / "runs" / "torn" / "fold0")
    train(request_named(root, "torn"), quiet_console())
    paths.finished_json.unlink()
    content = paths.last_checkpoint.read_bytes()
    paths.last_checkpoint.write_bytes(content[: len(content) // 2])
    console = quiet_console()
    train(request_named(root, "torn", resume=True), console)
    assert "falling back to the checkpoint before it" in console.file.getvalue()
    assert_same_training(final_state(root, "torn"), never_killed)


def test_unfinished_run_without_resume_is_an_error(root: Path) -> None:
    train(request_named(root, "again"), quiet_console())
    paths = RunPaths(root / "work" / "runs" / "again" / "fold0")
    paths.finished_json.unlink()
    with pytest.raises(UserError, match="an unfinished run is there already") as caught:
        train(request_named(root, "again"), quiet_console())
    assert "--resume" in caught.value.next_step


def test_two_processes_do_not_train_one_run(root: Path) -> None:
    paths = RunPaths(root / "work" / "runs" / "twice" / "fold0")
    with sole_trainer(paths), pytest.raises(UserError, match="another process is training"):
        train(request_named(root, "twice"), quiet_console())
    assert not paths.run_json.exists()


def test_resuming_with_other_settings_is_an_error(root: Path) -> None:
    paths = RunPaths(root / "work" / "runs" / "other" / "fold0")
    train(request_named(root, "other"), quiet_console())
    paths.finished_json.unlink()
    with pytest.raises(UserError, match="batch_size was 4, is 2"):
        train(request_named(root, "other", resume=True, batch_size=2), quiet_console())


def test_nothing_to_resume_starts_afresh_and_says_so(root: Path) -> None:
    console = quiet_console()
    train(request_named(root, "fresh", resume=True), console)
    assert "nothing to resume: starting afresh" in console.file.getvalue()
    assert logged_steps(root, "fresh") == [1, 2, 3, 4, 5, 6]
