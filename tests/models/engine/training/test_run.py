"""A run from its beginning to its prediction file, on the smallest of data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.paths import RunPaths
from data_tools.predictions.files import read_predictions
from models.predict import PredictRequest, predict
from models.train import train
from scoring.score import score
from tests.builders.training_cases import quiet_console, tiny_request, write_tiny_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("run")
    write_tiny_data(root)
    train(tiny_request(root), quiet_console())
    return root


def run_paths(root: Path, name: str = "yolox") -> RunPaths:
    return RunPaths(root / "work" / "runs" / name / "fold0")


def test_run_folder_says_what_was_done(finished: Path) -> None:
    paths = run_paths(finished)
    record = json.loads(paths.run_json.read_text())
    assert record["state"] == "finished"
    assert record["model"] == "yolox"
    assert record["fold"] == 0
    assert record["scale"] == "smoke"
    assert len(record["train_file_names"]) == 12
    assert record["teacher_file_names"] == []
    assert record["leaked"] == []
    assert record["data"]["pseudo_json"] is None
    assert len(record["data"]["train_json"]["sha256"]) == 64
    assert record["parameters"] > 10_000
    assert record["minutes_per_epoch"] > 0
    config = json.loads(paths.config_json.read_text())
    assert config["category_ids"] == [3, 7]
    assert config["epochs"] == 2
    assert json.loads(paths.finished_json.read_text())["val"]["competition_map50"] is not None


def test_boxes_that_are_not_trained_on_as_they_stand_are_counted(tmp_path: Path) -> None:
    write_tiny_data(tmp_path)
    path = tmp_path / "work" / "folds" / "train_0.json"
    coco = read_coco(path)
    odd = ([-5, 5, 20, 20], [200, 5, 20, 20], [300, 5, 20, 20], [5, 5, 0.5, 20])
    boxes = tuple(
        {**coco.annotations[0], "id": 1000 + number, "bbox": bbox}
        for number, bbox in enumerate(odd)
    )
    write_coco(path, replace(coco, annotations=(*coco.annotations, *boxes)))
    console = quiet_console()
    train(tiny_request(tmp_path, epochs=1), console)
    said = console.file.getvalue()
    assert "train: 1 boxes clipped to their image" in said
    assert "train: 2 boxes outside their image left out" in said
    assert "train: 1 boxes narrower or lower than a pixel left out" in said
    assert "crowd" not in said


def test_every_step_and_epoch_is_logged_once(finished: Path) -> None:
    lines = run_paths(finished).metrics_jsonl.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["step"] for r in records if r["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    epochs = [r for r in records if r["kind"] == "epoch"]
    assert [r["epoch"] for r in epochs] == [0, 1]
    for epoch in epochs:
        losses = [
            r["loss"] for r in records if r["kind"] == "step" and r["epoch"] == epoch["epoch"]
        ]
        assert epoch["train_loss"] == pytest.approx(sum(losses) / 3)
        assert set(epoch["val"]["per_class"]) == {"red", "green"}
    seconds = [r["seconds"] for r in records]
    assert seconds == sorted(seconds)
    first = records[0]
    assert first["loss"] == pytest.approx(sum(first["losses"].values()), rel=1e-5)


def test_the_predictions_of_every_epoch_are_kept_and_give_its_score(finished: Path) -> None:
    paths = run_paths(finished)
    truth = read_coco(finished / "work" / "folds" / "val_0.json")
    lines = [json.loads(line) for line in paths.metrics_jsonl.read_text().splitlines()]
    for line in [line for line in lines if line["kind"] == "epoch"]:
        predictions = read_predictions(paths.epoch_predictions(line["epoch"]), truth)
        assert len(predictions.provenance.train_file_names) == 12
        for key in ("competition_map50", "map"):
            assert score(predictions, truth)[key] == pytest.approx(line["val"][key], abs=1e-9)


def test_finished_run_is_left_alone(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_paths(finished).root.rglob("*")}
    console = quiet_console()
    result = train(tiny_request(finished, resume=True), console)
    assert "finished already" in console.file.getvalue()
    assert result["epoch"] in (0, 1)
    assert before == {path: path.stat().st_mtime_ns for path in run_paths(finished).root.rglob("*")}


def test_tensorboard_has_the_losses(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_paths(finished).tensorboard))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert len(events.Scalars("val/competition_map50")) == 2


@pytest.mark.parametrize("split", ["val", "test"])
def test_prediction_file_has_every_image_and_its_origin(finished: Path, split: str) -> None:
    paths = run_paths(finished)
    predict(PredictRequest(paths.root, split, device="cpu", workers=0), quiet_console())
    source = "work/folds/val_0.json" if split == "val" else "data/test.json"
    coco = read_coco(finished / source)
    predictions = read_predictions(paths.predictions(split), coco)
    assert sorted(predictions.image_ids.tolist()) == sorted(coco.image_ids.tolist())
    assert set(predictions.labels.tolist()) <= {3, 7}
    origin = predictions.provenance
    assert (origin.model, origin.run, origin.fold) == ("yolox", "yolox", 0)
    assert origin.dataset == coco.fingerprint
    assert len(origin.train_file_names) == 12
    assert list(origin.annotation_sha256) == ["train_0.json"]


def test_views_are_kept_apart(finished: Path) -> None:
    out = finished / "tta.parquet"
    request = PredictRequest(
        run_paths(finished).root, "val", views=("hflip", "rot90"), out=out, device="cpu", workers=0
    )
    result = predict(request, quiet_console())
    assert result.predictions.provenance.views == ("plain", "hflip", "rot90")
    plain = predict(
        PredictRequest(run_paths(finished).root, "val", device="cpu", workers=0), quiet_console()
    ).predictions
    of_plain_view = result.predictions.filtered(result.predictions.views == 0)
    np.testing.assert_array_equal(of_plain_view.boxes_xyxy, plain.boxes_xyxy)
    np.testing.assert_array_equal(of_plain_view.scores, plain.scores)
    assert set(result.seconds_of_view) == {"plain", "hflip", "rot90"}
