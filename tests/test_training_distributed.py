"""Two processes train as one does with the same batch."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_tools.coco import read_coco
from data_tools.errors import UserError
from data_tools.prediction_files import read_predictions
from models.predict import PredictRequest, predict
from models.train import train
from models.training.checkpoint import load_checkpoint
from models.training.distributed import World
from tests.distributed_cases import CASES, STEPS, run_cases
from tests.training_cases import quiet_console, tiny_request, write_tiny_data

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


@pytest.mark.slow
def test_two_gloo_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    write_tiny_data(tmp_path)
    request = dataclasses.replace(
        tiny_request(tmp_path, model="tood", name="one", epochs=1), overrides=OVERRIDES
    )
    train(request, quiet_console())
    settings = [argument for text in OVERRIDES for argument in ("--set", text)]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        "-m", "models", "train", "tood", "--data", str(request.data_root), "--work",
        str(request.work_root), "--fold", "0", "--scale", "smoke", "--epochs", "1", "--batch", "4",
        "--workers", "0", "--device", "cpu", "--name", "two", *settings,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
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
    from submit.scoring import score

    truth = read_coco(tmp_path / "work" / "folds" / "val_0.json")
    predictions = read_predictions(paths / "predictions" / "val.parquet", truth)
    finished = json.loads((paths / "finished.json").read_text())
    expected = finished["val"]["competition_map50"]
    assert score(predictions, truth)["competition_map50"] == pytest.approx(expected)


@pytest.mark.slow
def test_every_model_normalizes_over_all_processes(tmp_path: Path) -> None:
    out = tmp_path / "together.json"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        "-m", "tests.distributed_cases", str(out),
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
    from models import mmdet_library
    from models.mmdet_modules import GlobalRetinaHead, SoftmaxSSDHead

    upstream = getattr(mmdet_library, name)
    ours = {"RetinaHead": GlobalRetinaHead, "SSDHead": SoftmaxSSDHead}[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "get_targets", lambda head, flags: ("a", "b", "c", "d", 7))
        assert ours.get_targets(ours.__new__(ours), []) == ("a", "b", "c", "d", 7)
