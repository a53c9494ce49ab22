"""What goes wrong in a run: memory, numbers, images, leaks; one message and nothing half done."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from models.engine.libraries.mmdet.epoch_switches import set_epoch_on_model
from models.engine.training.loop import Trainer
from models.engine.training.resuming.checkpoint import load_checkpoint
from models.engine.training.step import Stepper
from models.predict import PredictRequest, predict
from models.train import train
from tests.builders.training_cases import TINY_YOLOX, quiet_console, tiny_request, write_tiny_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("failures")
    write_tiny_data(root)
    return root


def paths_of(root: Path, name: str) -> RunPaths:
    return RunPaths(root / "work" / "runs" / name / "fold0")


def step_records(root: Path, name: str) -> list[dict]:
    lines = paths_of(root, name).metrics_jsonl.read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "step"]


def out_of_memory_above(limit: int) -> Callable:
    real = Stepper._backward

    def backward(stepper: Stepper, samples: list, share: float) -> dict:
        if len(samples) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return real(stepper, samples, share)

    return backward


def test_out_of_memory_continues_with_smaller_passes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepper, "_backward", out_of_memory_above(2))
    console = quiet_console()
    train(tiny_request(root, name="oom"), console)
    said = console.file.getvalue()
    assert said.count("out of memory: continuing with 2 images at a time, 2 passes per step") == 1
    assert len(step_records(root, "oom")) == 6
    assert load_checkpoint(paths_of(root, "oom").last_checkpoint)["micro_batch"] == 2


def test_passes_add_up_to_the_gradient_of_the_batch(root: Path) -> None:
    """TOOD without BN: two passes of two images give the step of one pass of four.

    Losses are normalized by the boxes of a pass, so the batch is one image four times.
    """
    norms = {}
    for parts in (1, 2, 4):
        stepper, samples = stepper_and_samples(root, "tood", "image_size_wh=[64,64]")
        freeze_batch_statistics(stepper.model)
        norms[parts] = stepper.step([samples[0]] * 4, parts)
    for parts in (2, 4):
        assert norms[parts].loss == pytest.approx(norms[1].loss, rel=1e-5)
        assert norms[parts].gradient_norm == pytest.approx(norms[1].gradient_norm, rel=1e-3)


def freeze_batch_statistics(model: torch.nn.Module) -> None:
    """BN sees the images of a pass: only without it can two passes equal one."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def stepper_and_samples(root: Path, model: str, *overrides: str) -> tuple[Stepper, list]:
    captured = {}

    def stop(trainer: Trainer) -> None:
        captured["trainer"] = trainer
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train", stop)
        request = dataclasses.replace(
            tiny_request(root, name=f"captured_{model}", resume=True, model=model),
            overrides=overrides,
        )
        with pytest.raises(KeyboardInterrupt):
            train(request, quiet_console())
    trainer = captured["trainer"]
    set_epoch_on_model(trainer.model, trainer.config, 0)
    trainer.model.train()
    return trainer.stepper, next(iter(trainer._loader))


def test_non_finite_loss_stops_and_names_the_images(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Stepper._backward

    def backward(stepper: Stepper, samples: list, share: float) -> dict:
        losses = real(stepper, samples, share)
        if any(sample.file_name == "train/0005.png" for sample in samples):
            losses["loss"] = losses["loss"] * float("nan")
        return losses

    monkeypatch.setattr(Stepper, "_backward", backward)
    with pytest.raises(UserError, match="not finite in epoch 1") as caught:
        train(tiny_request(root, name="nan"), quiet_console())
    assert "optimizer.lr=" in caught.value.next_step
    reports = list(paths_of(root, "nan").root.glob("nonfinite_step*.json"))
    assert len(reports) == 1
    images = json.loads(reports[0].read_text())["images"]
    assert len(images) == 4
    assert ["train/0005.png"] in images
    assert json.loads(paths_of(root, "nan").run_json.read_text())["state"] == "failed"
    assert not paths_of(root, "nan").finished_json.exists()


def test_weights_are_untouched_by_a_non_finite_gradient(root: Path) -> None:
    from models.engine.training.step import NonFiniteLossError

    stepper, samples = stepper_and_samples(root, "yolox", *TINY_YOLOX)
    before = {name: p.detach().clone() for name, p in stepper.model.named_parameters()}
    with torch.no_grad():
        next(iter(stepper.model.bbox_head.multi_level_conv_cls)).bias.fill_(float("inf"))
    before["bbox_head.multi_level_conv_cls.0.bias"].fill_(float("inf"))
    with pytest.raises(NonFiniteLossError):
        stepper.step(samples, 1)
    for name, parameter in stepper.model.named_parameters():
        assert torch.equal(parameter, before[name]), name


def copy_of(root: Path, target: Path) -> Path:
    shutil.copytree(root / "data", target / "data")
    shutil.copytree(root / "work" / "folds", target / "work" / "folds")
    return target


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_image_in_training(root: Path, tmp_path: Path, workers: int) -> None:
    here = copy_of(root, tmp_path)
    (here / "data" / "train" / "0003.png").write_bytes(b"not a picture")
    with pytest.raises(UserError) as caught:
        train(tiny_request(here, name="corrupt", workers=workers), quiet_console())
    assert "train/0003.png" in str(caught.value)
    assert not paths_of(here, "corrupt").finished_json.exists()


def test_missing_image_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    here = copy_of(root, tmp_path)
    (here / "data" / "train" / "0003.png").unlink()
    with pytest.raises(UserError, match="1 of 12 image files are missing, the first is train/0003"):
        train(tiny_request(here), quiet_console())
    assert not (here / "work" / "runs").exists()


def with_info(root: Path, **info: object) -> Path:
    path = root / "work" / "pseudo" / "round1" / "train_0.json"
    dataset = read_coco(root / "work" / "folds" / "train_0.json")
    write_coco(path, dataclasses.replace(dataset, info={"boxcamp": info}))
    return path


def test_teachers_that_saw_the_validation_fold_are_refused(root: Path, tmp_path: Path) -> None:
    here = copy_of(root, tmp_path)
    teachers = ["train/0000.png", "train/0012.png", "train/0013.png"]  # 12..15 are held out
    pseudo = with_info(here, round=1, teacher_file_names=teachers)
    request = tiny_request(here, pseudo=pseudo)
    with pytest.raises(UserError, match="trained on 2 of its 4 images") as caught:
        train(request, quiet_console())
    assert "--allow-leak" in caught.value.next_step
    assert not (here / "work" / "runs").exists()

    train(dataclasses.replace(request, allow_leak=True, epochs=1), quiet_console())
    paths = paths_of(here, "yolox-pseudo1")
    record = json.loads(paths.run_json.read_text())
    assert len(record["leaked"]) == 1
    assert record["teacher_file_names"] == teachers
    result = predict(PredictRequest(paths.root, "val", device="cpu", workers=0), quiet_console())
    assert result.predictions.provenance.leaked == tuple(record["leaked"])
    assert result.predictions.provenance.teacher_file_names == tuple(teachers)


def test_honest_teachers_are_welcome(root: Path, tmp_path: Path) -> None:
    here = copy_of(root, tmp_path)
    pseudo = with_info(here, round=2, teacher_file_names=["train/0000.png"])
    train(tiny_request(here, pseudo=pseudo, epochs=1), quiet_console())
    record = json.loads(paths_of(here, "yolox-pseudo2").run_json.read_text())
    assert record["leaked"] == []
    assert record["data"]["pseudo_json"]["path"] == str(pseudo)


def test_validation_images_in_the_training_file_are_refused(root: Path, tmp_path: Path) -> None:
    here = copy_of(root, tmp_path)
    shutil.copy(here / "data" / "train.json", here / "work" / "folds" / "train_0.json")
    with pytest.raises(UserError, match="4 of its 4 images are in the training file"):
        train(tiny_request(here), quiet_console())


def test_a_run_does_not_go_on_with_other_annotations(root: Path, tmp_path: Path) -> None:
    here = copy_of(root, tmp_path)
    train(tiny_request(here, epochs=1), quiet_console())
    paths = paths_of(here, "yolox")
    paths.finished_json.unlink()  # as if it had been stopped
    file = here / "work" / "folds" / "train_0.json"
    whole = file.read_bytes()
    coco = read_coco(file)
    write_coco(file, dataclasses.replace(coco, annotations=coco.annotations[1:]))
    again = tiny_request(here, epochs=1, resume=True)
    with pytest.raises(UserError, match="started with other annotations") as caught:
        train(again, quiet_console())
    assert "train_0.json" in caught.value.what
    with pytest.raises(UserError, match="started with other annotations"):
        train(dataclasses.replace(again, pseudo=with_info(here, round=1), name="yolox"),
              quiet_console())  # fmt: skip
    file.write_bytes(whole)
    train(again, quiet_console())
    assert paths.finished_json.is_file()
