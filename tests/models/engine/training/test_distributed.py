"""Two processes train as one does with the same batch."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from data_tools.predictions.files import read_predictions
from models.cli import main
from models.engine.runs.folder import clear_results
from models.engine.runs.restart import noted_micro_batch
from models.engine.training.distributed import World
from models.engine.training.launch import check_processes, launched_exit_status
from models.engine.training.resuming.checkpoint import load_checkpoint
from models.predict import PredictRequest, predict
from models.train import train
from tests.builders.distributed_cases import CASES, STEPS, run_cases
from tests.builders.training_cases import TINY_YOLOX, quiet_console, tiny_request, write_tiny_data

# TOOD normalizes its losses over all processes. BN would see other batches: frozen, or per image.
OVERRIDES = (
    "image_size_wh=[128,128]",
    "repeat=1",
    "log.every_steps=1",
    "architecture.backbone.norm_eval=true",
    "architecture.neck.norm_cfg.type=IN",
    "schedule.warmup_iterations=2",
    "optimizer.type=SGD",
    "optimizer.lr=0.001",
)


def records(root: Path, name: str) -> list[dict]:
    path = root / "work" / "runs" / name / "fold0" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def train_in_two(
    root: Path, model: str, *options: str, sitecustomize: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Train one epoch of three steps in two processes; `sitecustomize` is a folder with one."""
    command = [
        sys.executable, "-m", "models", "train", model, "--data", str(root / "data"), "--work",
        str(root / "work"), "--fold", "0", "--scale", "smoke", "--epochs", "1", "--batch", "4",
        "--workers", "0", "--device", "cpu", "--gpus", "2", *options,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sitecustomize is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(sitecustomize), str(Path.cwd())])
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_two_gloo_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    write_tiny_data(tmp_path)
    request = dataclasses.replace(
        tiny_request(tmp_path, model="tood", name="one", epochs=1), overrides=OVERRIDES
    )
    train(request, quiet_console())
    settings = [argument for text in OVERRIDES for argument in ("--set", text)]
    done = train_in_two(tmp_path, "tood", "--name", "two", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1  # only one process talks

    one, two = records(tmp_path, "one"), records(tmp_path, "two")
    assert [r["step"] for r in two if r["kind"] == "step"] == [1, 2, 3]
    for alone, together in zip(one, two, strict=True):
        if alone["kind"] == "step":
            # Sums are taken in another order: 1e-4 relative, 1e-6 at the first step.
            tolerance = 1e-6 if alone["step"] == 1 else 1e-4
            assert together["loss"] == pytest.approx(alone["loss"], rel=tolerance)
            assert together["gradient_norm"] == pytest.approx(alone["gradient_norm"], rel=1e-3)
        else:
            assert together["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4)
    assert len(load_checkpoint(run_folder(tmp_path, "two") / "checkpoints/last.pt")["random"]) == 2

    # What the two processes evaluated together is what the saved weights give.
    paths = run_folder(tmp_path, "two")
    predict(PredictRequest(paths, "val", device="cpu", workers=0), quiet_console())
    from scoring.score import score

    truth = read_coco(tmp_path / "work" / "folds" / "val_0.json")
    predictions = read_predictions(paths / "predictions" / "val.parquet", truth)
    finished = json.loads((paths / "finished.json").read_text())
    expected = finished["val"]["competition_map50"]
    assert score(predictions, truth)["competition_map50"] == pytest.approx(expected)


# Process 1 has no room for more than one image in its second step.
SHORT_OF_MEMORY = """
import os
if os.environ.get("LOCAL_RANK") == "1":
    import torch
    from models.engine.libraries.mmdet.detector import MmdetDetector

    real, calls = MmdetDetector.loss, []

    def loss(detector, batch):
        calls.append(batch)
        if len(batch) > 1 and len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return real(detector, batch)

    MmdetDetector.loss = loss
"""


@pytest.mark.slow
def test_out_of_memory_in_one_process_continues_in_all(tmp_path: Path) -> None:
    write_tiny_data(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SHORT_OF_MEMORY)
    settings = [argument for text in TINY_YOLOX for argument in ("--set", text)]
    done = train_in_two(
        tmp_path, "yolox", "--name", "oom", *settings, "--set", "checkpoint.every_steps=1",
        sitecustomize=tmp_path / "site",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("all processes begin again from the last checkpoint") == 1
    assert "resuming in epoch 1 after step 1" in done.stdout
    assert done.stderr.count("out of memory with 2 images at a time") == 1
    assert "Traceback" not in done.stderr
    # Two passes of one image: the batch is still that of four, the epoch still has three steps.
    steps = [r["step"] for r in records(tmp_path, "oom") if r["kind"] == "step"]
    assert steps == [1, 2, 3]
    assert load_checkpoint(run_folder(tmp_path, "oom") / "checkpoints/last.pt")["micro_batch"] == 1
    # A fresh start does not remember.
    paths = RunPaths(run_folder(tmp_path, "oom"))
    assert noted_micro_batch(paths) == 1
    clear_results(paths)
    assert noted_micro_batch(paths) is None


@pytest.mark.slow
def test_a_mistake_met_by_one_process_ends_all_without_a_traceback(tmp_path: Path) -> None:
    write_tiny_data(tmp_path)
    (tmp_path / "data" / "train" / "0007.png").write_bytes(b"no picture")
    settings = [argument for text in TINY_YOLOX for argument in ("--set", text)]
    done = train_in_two(tmp_path, "yolox", *settings)
    assert done.returncode == 2
    assert "train/0007.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert "elastic" not in done.stderr


@pytest.mark.parametrize(
    ("model", "batch", "parts"),
    [
        ("yolo11", 4, ["yolo11 trains on one GPU here", "GPUS=1"]),
        ("yolox", 5, ["a batch of 5 cannot be shared evenly by 2 processes", "add --batch 6"]),
    ],
)
def test_mistakes_are_found_before_any_process_starts(
    tmp_path: Path, model: str, batch: int, parts: list[str]
) -> None:
    write_tiny_data(tmp_path)
    arguments = [
        "train", model, "--data", tmp_path / "data", "--work", tmp_path / "work", "--fold", 0,
        "--device", "cpu", "--batch", batch, "--gpus", 2,
    ]  # fmt: skip
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 2
    assert all(part in result.output for part in parts), result.output
    assert not (tmp_path / "work" / "runs").exists()


@pytest.mark.parametrize(
    ("exit_codes", "status"),
    [
        ([2, -15], 2),
        ([-15, 2], 2),
        ([1, 2], 2),  # the one that lost its connection says less than the one with a mistake
        ([1, -15], 1),
        ([-15, 75], 75),
        ([75, 75], 75),
        ([130, 130], 130),
    ],
)
def test_exit_status_of_several_processes(exit_codes: list[int], status: int) -> None:
    assert launched_exit_status(failures(exit_codes)) == status


def test_a_killed_process_is_named() -> None:
    with pytest.raises(UserError, match="process 1 was ended by signal 9") as caught:
        launched_exit_status(failures([-15, -9], first=1))
    assert "--resume" in caught.value.next_step


def failures(exit_codes: list[int], first: int = 0) -> dict[int, SimpleNamespace]:
    return {
        rank: SimpleNamespace(exitcode=code, timestamp=0 if rank == first else 1)
        for rank, code in enumerate(exit_codes)
    }


@pytest.mark.slow
def test_every_model_normalizes_over_all_processes(tmp_path: Path) -> None:
    out = tmp_path / "together.json"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        "-m", "tests.builders.distributed_cases", str(out),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    together = json.loads(out.read_text())
    for case, one, two in zip(CASES, run_cases(World()), together, strict=True):
        assert len(one) == len(two) == STEPS
        for step in range(STEPS):
            # The second step has the weights that the first one's gradients gave.
            assert two[step] == pytest.approx(one[step], rel=1e-4), (case, step)


def run_folder(root: Path, name: str) -> Path:
    return root / "work" / "runs" / name / "fold0"


def test_batch_is_shared_evenly_or_refused() -> None:
    assert World().share_of_batch(5) == 5
    assert World(rank=1, size=4).share_of_batch(8) == 2
    with pytest.raises(UserError, match="cannot be shared evenly by 4 processes") as caught:
        World(rank=1, size=4).share_of_batch(6)
    assert caught.value.next_step == "add --batch 8"


@pytest.mark.parametrize("name", ["RetinaHead", "SSDHead"])
def test_one_process_keeps_upstreams_normalizer(name: str) -> None:
    """The count itself, not a tensor of it: the losses stay upstream's, bit for bit."""
    from models.engine.libraries.mmdet import library
    from models.engine.libraries.mmdet.modules import GlobalRetinaHead, SoftmaxSSDHead

    upstream = getattr(library, name)
    ours = {"RetinaHead": GlobalRetinaHead, "SSDHead": SoftmaxSSDHead}[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "get_targets", lambda head, flags: ("a", "b", "c", "d", 7))
        assert ours.get_targets(ours.__new__(ours), []) == ("a", "b", "c", "d", 7)


def test_more_processes_than_gpus_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    run = SimpleNamespace(
        request=SimpleNamespace(model="tood"), config={"batch_size": 4}, device="cuda"
    )
    with pytest.raises(UserError, match="torch sees 1 GPUs, not 2"):
        check_processes(run, 2)
