"""What goes wrong in a run: memory, numbers, images, leaks; one message and nothing half done."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from models.engine.data.sample import Sample
from models.engine.libraries.mmdet.detector import MmdetDetector
from models.engine.training.assembly import build_detector, build_trainer
from models.engine.training.distributed import World
from models.engine.training.resuming.interrupt import InterruptRequest
from models.engine.training.step import Stepper
from models.engine.training.watching.display import SilentDisplay
from models.predict import PredictRequest, predict
from models.train import prepare, train
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


def test_passes_add_up_to_the_gradient_of_the_batch(root: Path) -> None:
    """TOOD without BN: two passes of two images give the step of one pass of four.

    Losses are normalized by the boxes of a pass, so the batch is one image four times.
    """
    norms = {}
    for parts in (1, 2, 4):
        stepper, samples = stepper_and_samples(root, "tood", "image_size_wh=[64,64]")
        freeze_batch_statistics(stepper.detector)
        norms[parts] = stepper.step([samples[0]] * 4, parts)
    for parts in (2, 4):
        assert norms[parts].loss == pytest.approx(norms[1].loss, rel=1e-5)
        assert norms[parts].gradient_norm == pytest.approx(norms[1].gradient_norm, rel=1e-3)


def freeze_batch_statistics(model: torch.nn.Module) -> None:
    """BN sees the images of a pass: only without it can two passes equal one."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def stepper_and_samples(root: Path, model: str, *overrides: str) -> tuple[Stepper, list[Sample]]:
    """Return what does the first step of a run, and its batch."""
    request = dataclasses.replace(tiny_request(root, model=model), overrides=overrides)
    run, _ = prepare(request)
    world, device = World(), torch.device("cpu")
    detector = build_detector(MmdetDetector, run.config, device, world)
    with InterruptRequest() as interrupt:
        trainer = build_trainer(
            run, detector, world=world, device=device, display=SilentDisplay(), interrupt=interrupt
        )
    detector.set_epoch(0)
    detector.train()
    trainer.sampler.set_epoch(0, 0)
    return trainer.stepper, [trainer.dataset[key] for key in next(iter(trainer.sampler))]


def test_weights_are_untouched_by_a_non_finite_gradient(root: Path) -> None:
    from models.engine.training.step import NonFiniteLossError

    stepper, samples = stepper_and_samples(root, "yolox", *TINY_YOLOX)
    before = {name: p.detach().clone() for name, p in stepper.detector.named_parameters()}
    with torch.no_grad():
        next(iter(stepper.detector.network.bbox_head.multi_level_conv_cls)).bias.fill_(float("inf"))
    before["network.bbox_head.multi_level_conv_cls.0.bias"].fill_(float("inf"))
    with pytest.raises(NonFiniteLossError):
        stepper.step(samples, 1)
    for name, parameter in stepper.detector.named_parameters():
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
    assert "1 pictures cannot be decoded whole: train/0003.png" in caught.value.what
    assert "data_tools repair" in caught.value.next_step
    assert "--skip-broken" in caught.value.next_step
    assert not paths_of(here, "corrupt").root.exists()  # known before training begins


def test_training_goes_on_without_broken_pictures_where_asked(root: Path, tmp_path: Path) -> None:
    here = copy_of(root, tmp_path)
    picture = here / "data" / "train" / "0003.png"
    picture.write_bytes(picture.read_bytes()[:-40])
    request = tiny_request(here, name="skipping", epochs=1)
    train(dataclasses.replace(request, skip_broken=True), quiet_console())
    record = json.loads(paths_of(here, "skipping").run_json.read_text())
    assert list(record["skipped_pictures"]) == ["train/0003.png"]
    assert "train/0003.png" not in record["train_file_names"]
    assert len(record["train_file_names"]) == 11


def test_a_broken_test_picture_gets_an_empty_row(root: Path, tmp_path: Path) -> None:
    """A night's predictions once ended at the first of them."""
    here = copy_of(root, tmp_path)
    train(tiny_request(here, name="plain", epochs=1), quiet_console())
    names = read_coco(here / "data" / "test.json").file_names
    (here / "data" / names[1]).write_bytes(b"no picture")
    console = Console(file=io.StringIO(), width=200)
    request = PredictRequest(paths_of(here, "plain").root, "test", device="cpu", workers=0)
    table = predict(request, console).predictions
    assert len(table.image_ids) == len(names)
    broken_id = read_coco(here / "data" / "test.json").images[1]["id"]
    assert not (table.image_id_of_row == broken_id).any()
    assert f"WARNING: {names[1]}: cannot be decoded" in console.file.getvalue()
    for name in names:
        (here / "data" / name).write_bytes(b"no picture")
    with pytest.raises(UserError, match="cannot be decoded whole"):
        predict(request, console)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iscrowd": 1}, "there is no box to train on: all [0-9]+ are crowds"),
        ({"bbox": [500, 500, 20, 20]}, "there is no box left to train on .*outside_image"),
    ],
)
def test_training_on_nothing_is_refused(
    root: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    here = copy_of(root, tmp_path)
    path = here / "work" / "folds" / "train_0.json"
    content = read_coco(path).as_dict()
    content["annotations"] = [{**box, **change} for box in content["annotations"]]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        train(tiny_request(here), quiet_console())
    assert not (here / "work" / "runs").exists()


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
