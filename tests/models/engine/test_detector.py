"""The loop, resuming, averaging, smaller passes and views work on any detector."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from data_tools.predictions.files import read_predictions
from data_tools.predictions.provenance import Provenance
from models.engine.data.eval_dataset import EvalSample
from models.engine.data.sample import Sample
from models.engine.detector import DetectedBoxes
from models.engine.runs.folder import read_config
from models.engine.training.resuming.checkpoint import load_checkpoint
from models.engine.training.resuming.interrupt import Interruption
from models.engine.training.tta import predict_views
from tests.builders.toy_detector import ToyDetector, train_toy
from tests.builders.training_cases import quiet_console, write_tiny_data

# Everything that has a state: augmentation, averaged weights, checkpoints between epochs.
STATEFUL = ("augment.mosaic=0.5", "ema.momentum=0.1", "checkpoint.every_steps=2")
STEPS = 6  # two epochs of three


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("toy")
    write_tiny_data(root)
    return root


@pytest.fixture(scope="module")
def never_killed(root: Path) -> RunPaths:
    return train_toy(root, "never_killed", *STATEFUL)


def records(paths: RunPaths, kind: str) -> list[dict]:
    lines = map(json.loads, paths.metrics_jsonl.read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def test_its_losses_scores_and_predictions_are_kept(root: Path, never_killed: RunPaths) -> None:
    steps, epochs = records(never_killed, "step"), records(never_killed, "epoch")
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    # The box loss joins in the second epoch: the detector is told which one it is.
    named = [sorted(record["losses"]) for record in steps]
    assert named == [["loss_class"]] * 3 + [["loss_box", "loss_class"]] * 3
    for record in steps:
        assert record["loss"] == pytest.approx(sum(record["losses"].values()), rel=1e-6)
    truth = read_coco(root / "work" / "folds" / "val_0.json")
    kept = read_predictions(never_killed.epoch_predictions(1), truth)
    # A box per cell, of pictures of 64 x 57 and 64 x 51 pixels, in the pixels of their files.
    assert len(kept) > 4 * 7 * 7
    assert kept.boxes_xyxy.max() > 64
    finished = json.loads(never_killed.finished_json.read_text())
    assert finished["val"] == epochs[finished["epoch"]]["val"]


def assert_same_bits(first: object, second: object, where: str = "") -> None:
    assert type(first) is type(second), where
    if isinstance(first, Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same_bits(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for number, value in enumerate(first):
            assert_same_bits(value, second[number], f"{where}/{number}")
    else:
        assert first == second, where


class PowerLoss(BaseException):
    """Ends training between two steps."""


def dying_in_step(number: int) -> type[ToyDetector]:
    class Dying(ToyDetector):
        steps = 0

        def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
            self.steps += 1
            if self.steps == number:
                raise PowerLoss
            return super().loss(batch)

    return Dying


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_in_any_step_it_ends_with_the_same_bits(
    root: Path, never_killed: RunPaths, step: int
) -> None:
    name = f"killed{step}"
    with pytest.raises(PowerLoss):
        train_toy(root, name, *STATEFUL, build=dying_in_step(step))
    paths = train_toy(root, name, *STATEFUL, resume=True)
    state, reference = (load_checkpoint(p.last_checkpoint) for p in (paths, never_killed))
    for part in ("model", "average", "optimizer", "random"):
        assert_same_bits(state[part], reference[part], part)
    assert state["progress"]["loss_sum"] == reference["progress"]["loss_sum"]
    assert [r["step"] for r in records(paths, "step")] == list(range(1, STEPS + 1))


def test_stopped_in_its_validation_it_goes_on_there(root: Path, never_killed: RunPaths) -> None:
    class Stopped(ToyDetector):
        def predict(self, batch: Sequence[EvalSample]) -> list[DetectedBoxes]:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().predict(batch)

    with pytest.raises(Interruption):
        train_toy(root, "validating", *STATEFUL, build=Stopped)
    paths = train_toy(root, "validating", *STATEFUL, resume=True)
    state, reference = (load_checkpoint(p.last_checkpoint) for p in (paths, never_killed))
    assert_same_bits(state["model"], reference["model"])


def test_the_averaged_weights_are_scored_and_kept(never_killed: RunPaths) -> None:
    last, best = (
        load_checkpoint(path)
        for path in (never_killed.last_checkpoint, never_killed.best_checkpoint)
    )
    average = last["average"]["weights"]
    assert not torch.equal(average["features.weight"], last["model"]["features.weight"])
    if best["epoch"] == 1:  # of the same step as the last checkpoint
        assert_same_bits(dict(best["model"]), average)
    assert best["model"].keys() == average.keys() == last["model"].keys()


def short_of_memory(limit: int, seen: list[int]) -> type[ToyDetector]:
    class ShortOfMemory(ToyDetector):
        def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
            self._need(batch)
            return super().loss(batch)

        def predict(self, batch: Sequence[EvalSample]) -> list[DetectedBoxes]:
            self._need(batch)
            return super().predict(batch)

        def _need(self, batch: Sequence[object]) -> None:
            if len(batch) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
            seen.append(len(batch))

    return ShortOfMemory


def test_out_of_memory_continues_with_smaller_passes(root: Path) -> None:
    console, seen = quiet_console(), []
    paths = train_toy(root, "oom", build=short_of_memory(2, seen), console=console)
    said = console.file.getvalue()
    assert said.count("out of memory: continuing with 2 images at a time, 2 passes per step") == 1
    # Per epoch three steps of two passes, and four pictures of the validation in two batches.
    assert seen == 2 * ([2, 2] * 3 + [2, 2])
    assert len(records(paths, "step")) == STEPS
    assert load_checkpoint(paths.last_checkpoint)["micro_batch"] == 2


def test_one_picture_that_does_not_fit_is_a_message(root: Path) -> None:
    with pytest.raises(UserError, match="out of memory with a single image at a time"):
        train_toy(root, "no_memory", build=short_of_memory(0, []))


def predicting_with(limit: int, seen: list[int]) -> type[ToyDetector]:
    class Limited(short_of_memory(limit, seen)):  # type: ignore[misc]
        def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
            return ToyDetector.loss(self, batch)

    return Limited


def test_a_picture_that_does_not_fit_in_the_validation_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="detecting in a single image") as caught:
        train_toy(root, "no_validation", build=predicting_with(0, []))
    assert caught.value.where == "train/0012.png"  # the first of the four held out


def test_batches_are_halved_until_they_fit(root: Path) -> None:
    seen: list[int] = []
    train_toy(root, "halved", "epochs=1", build=predicting_with(3, seen), epochs=1)
    assert seen == [2, 2]


def test_a_loss_that_is_no_number_stops_and_names_the_images(root: Path) -> None:
    class Broken(ToyDetector):
        def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
            losses = super().loss(batch)
            if any(sample.file_name == "train/0005.png" for sample in batch):
                losses["loss_class"] = losses["loss_class"] * float("nan")
            return losses

    with pytest.raises(UserError, match="not finite in epoch 1") as caught:
        train_toy(root, "nan", build=Broken)
    assert "optimizer.lr=" in caught.value.next_step
    (report,) = (root / "work" / "runs" / "nan" / "fold0").glob("nonfinite_step*.json")
    images = json.loads(report.read_text())["images"]
    assert len(images) == 4
    assert ["train/0005.png"] in images


def with_weights(root: Path, weight: float) -> Path:
    path = root / "work" / "pseudo" / f"weight{weight}.json"
    plain = read_coco(root / "work" / "folds" / "train_0.json")
    soft = tuple({**box, "weight": weight} for box in plain.annotations)
    write_coco(path, dataclasses.replace(plain, annotations=soft, info={"boxcamp": {"round": 1}}))
    return path


@pytest.mark.parametrize(("weight", "expected"), [(1.0, False), (0.5, True)])
def test_it_hears_of_weights_where_there_are_some(
    root: Path, weight: float, expected: bool
) -> None:
    heard = []

    class Listening(ToyDetector):
        def use_box_weights(self) -> None:
            heard.append(True)
            super().use_box_weights()

    pseudo = with_weights(root, weight)
    train_toy(root, f"weight{weight}", build=Listening, pseudo=pseudo, epochs=1)
    assert heard == [True] * expected


def test_its_views_come_back_to_the_pictures_and_stay_apart(
    root: Path, never_killed: RunPaths
) -> None:
    coco = read_coco(root / "data" / "test.json")
    predictions, seconds = predict_views(
        ToyDetector, never_killed, read_config(never_killed), coco, root / "data",
        views=("plain", "hflip"), provenance=Provenance(views=("plain", "hflip")), device="cpu",
        batch_size=2, workers=0, console=quiet_console(),
    )  # fmt: skip
    assert list(seconds) == ["plain", "hflip"]
    counts = np.bincount(predictions.views)
    assert len(counts) == 2
    assert counts.min() > 3 * 7 * 7
    sizes = {image["id"]: [image["width"], image["height"]] for image in coco.images}
    limits = np.array([sizes[image_id] for image_id in predictions.image_ids.tolist()])
    of_rows = np.repeat(limits, np.diff(predictions.offsets), axis=0)
    assert (predictions.boxes_xyxy[:, 2:] <= of_rows).all()
