"""YOLO11 in its own process: dataset files, settings, isolation, and one whole run."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from data_tools.predictions.files import read_predictions
from models.engine.config.resolve import recipe_config, resolve_config
from models.engine.libraries.ultralytics.arguments import (
    check_supported,
    data_yaml,
    training_arguments,
)
from models.engine.libraries.ultralytics.dataset_files import check_sizes, label_lines, write_split
from models.engine.libraries.ultralytics.epoch_records import noted_epochs
from models.engine.libraries.ultralytics.library_paths import (
    LibraryDatasetPaths,
    LibraryPaths,
    library_paths,
)
from models.engine.libraries.ultralytics.weights import matching_weights
from models.engine.libraries.ultralytics.worker import process_environment
from models.registry import get_model
from tests.builders.training_cases import write_tiny_data

CATEGORIES = ({"id": 3, "name": "red"}, {"id": 7, "name": "green"})
CLASS_OF_CATEGORY = {3: 0, 7: 1}


def dataset(*boxes, images=1, names=None):
    pictures = tuple(
        {"id": 10 + i, "file_name": names[i] if names else f"{i}.jpg", "width": 100, "height": 50}
        for i in range(images)
    )
    annotations = tuple(
        {"id": i, "image_id": 10, "category_id": 3, "area": 1.0, "iscrowd": 0, **box}
        for i, box in enumerate(boxes)
    )
    return CocoDataset(pictures, annotations, CATEGORIES)


def lines_of(*boxes):
    rows = list(range(len(boxes)))
    lines, _, counts = label_lines(dataset(*boxes), rows, (100, 50), CLASS_OF_CATEGORY)
    return lines, counts


def test_an_image_without_boxes_has_no_lines():
    assert lines_of() == ([], (0, 0, 0))


def test_a_line_is_class_centre_and_size_relative_to_the_image():
    # x: 20..60 of 100, y: 10..20 of 50. Centre .4, .3; size .4, .2. Category 7 is class 1.
    lines, _ = lines_of({"bbox": [20, 10, 40, 10], "category_id": 7})
    assert lines == ["1 0.400000000 0.300000000 0.400000000 0.200000000\n"]


def test_a_box_over_the_border_is_clipped_and_counted():
    # x: -10..30 becomes 0..30, y: 40..60 becomes 40..50.
    lines, counts = lines_of({"bbox": [-10, 40, 40, 20]})
    assert lines == ["0 0.150000000 0.900000000 0.300000000 0.200000000\n"]
    assert counts == (0, 1, 0)


def test_crowds_and_boxes_outside_are_left_out_and_counted():
    crowd = {"bbox": [0, 0, 10, 10], "iscrowd": 1}
    outside = {"bbox": [100, 0, 10, 10]}
    kept = {"bbox": [0, 0, 10, 10]}
    lines, counts = lines_of(crowd, outside, kept)
    assert len(lines) == 1
    assert counts == (1, 0, 1)


def test_a_split_keeps_empty_images_and_equal_file_names(tmp_path):
    coco = dataset({"bbox": [0, 0, 10, 10]}, images=2, names=["a/1.jpg", "b/1.jpg"])
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").write_text(folder)
    for _ in range(2):  # A second time, as on resuming.
        written = write_split(coco, tmp_path, LibraryDatasetPaths(tmp_path / "out"), "train")
    images = sorted((tmp_path / "out" / "images" / "train").iterdir())
    labels = sorted((tmp_path / "out" / "labels" / "train").iterdir())
    assert [image.read_text() for image in images] == ["a", "b"]
    assert [len(label.read_text().splitlines()) for label in labels] == [1, 0]
    assert [image.stem for image in images] == [label.stem for label in labels]
    assert (written.images, written.boxes) == (2, 1)


def test_an_image_of_another_size_than_stated_is_refused(tmp_path):
    coco = dataset({"bbox": [0, 0, 10, 10]}, images=2)  # 100 x 50
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((50, 100, 3), np.uint8))
    (tmp_path / "1.jpg").write_text("not a picture: the library names it")
    check_sizes(coco, tmp_path)
    cv2.imwrite(str(tmp_path / "1.jpg"), np.zeros((100, 50, 3), np.uint8))
    with pytest.raises(
        UserError, match="is 50 x 100 pixels, its annotations say 100 x 50"
    ) as caught:
        check_sizes(coco, tmp_path)
    assert caught.value.where.endswith("1.jpg")


def config_of(*overrides, **options):
    return resolve_config("yolo11", "smoke", categories=CATEGORIES, overrides=overrides, **options)


def checked(config):
    check_supported(config, recipe_config(get_model("yolo11"), config["scale"]))


@pytest.mark.parametrize("scale", ["full", "smoke"])
def test_recipes_are_supported(scale):
    checked(resolve_config("yolo11", scale, categories=CATEGORIES))


def test_options_reach_the_library():
    config = config_of(
        "optimizer.lr=0.5", "architecture.size=s", mosaic=0.25, epochs=7, batch_size=3, seed=5
    )
    checked(config)
    arguments = training_arguments(config, "cpu")
    expected = {
        "model": "yolo11s.yaml", "epochs": 7, "batch": 3, "nbs": 3, "imgsz": 160, "seed": 5,
        "lr0": 0.5, "mosaic": 0.25, "device": "cpu", "amp": False, "fliplr": 0.5,
        "pretrained": False, "plots": False,
    }  # fmt: skip
    assert {key: arguments[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("schedule.type=step", "`schedule.type` cannot be changed: it is 'cosine'"),
        ("augment.expand.probability=0.5", "`augment.expand.probability` cannot be changed"),
        ("clip_grad_norm=1.0", "`clip_grad_norm` cannot be changed: it is 10.0"),
        ("architecture.size=q", "`architecture.size` is 'q', expected one of n, s, m, l, x"),
        ("image_size_wh=[64,96]", "expected a square"),
        ("image_size_wh=[100,100]", "multiple of 32"),
        ("init=imagenet", "yolo11 has no such weights"),
    ],
)
def test_settings_that_the_library_lacks_are_refused(override, part):
    with pytest.raises(UserError) as caught:
        checked(config_of(override))
    assert part in caught.value.what
    assert "optimizer.lr" in caught.value.expected


def test_data_yaml_lists_the_classes_in_order(tmp_path):
    content = json.loads(data_yaml(LibraryDatasetPaths(tmp_path), ["red: 1", "gré\n"]))
    assert content["names"] == ["red: 1", "gré\n"]
    assert (content["train"], content["val"]) == ("images/train", "images/val")


def test_only_four_files_of_the_project_import_ultralytics(repository):
    importing = set()
    for path in repository.glob("*/**/*.py"):
        if path.is_relative_to(repository / ".venv"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            names += [getattr(node, "module", None) or ""]
            if any(name.split(".")[0] == "ultralytics" for name in names):
                importing.add(path.relative_to(repository).as_posix())
    folder = "models/engine/libraries/ultralytics/"
    names = ("checkpoint", "detection", "loss", "training")
    assert importing == {f"{folder}library_{name}.py" for name in names}


def test_the_kits_own_side_does_not_load_ultralytics(repository):
    code = (
        "import sys;"
        "from models.engine.libraries.ultralytics import train, predict, worker;"
        "print('ultralytics' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_process_is_offline_and_leaves_the_home_alone(repository, tmp_path):
    code = (
        "import socket, urllib.request;"
        "from models.engine.libraries.ultralytics.process import refuse_network; refuse_network();"
        "server = socket.create_server(('127.0.0.1', 0));"
        "port = server.getsockname()[1];"
        "a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1));\n"
        "try: urllib.request.urlopen(f'http://127.0.0.1:{port}', timeout=5)\n"
        "except OSError as error: print('offline' in str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["b'x'", "True"]
    environment = process_environment(LibraryPaths(tmp_path))
    assert Path(environment["YOLO_CONFIG_DIR"]) == tmp_path / "settings"
    assert environment["YOLO_OFFLINE"] == "true"


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("key", ["model", "ema"])
def test_tensors_are_read_from_pickled_objects_without_running_them(tmp_path, key):
    block, sprung = Block(), tmp_path / "sprung"
    content = {"model": None, "ema": None, "extra": Trap(sprung)}
    torch.save({**content, key: block}, tmp_path / "w.pt")
    found = matching_weights(tmp_path / "w.pt", block.state_dict())
    assert found.keys() == block.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in block.state_dict().items())
    assert not sprung.exists()


def test_weights_that_do_not_fit_are_left_out_or_refused(tmp_path):
    torch.save({"a": torch.zeros(2), "b": torch.zeros(3)}, tmp_path / "w.pt")
    found = matching_weights(tmp_path / "w.pt", {"a": torch.ones(2), "b": torch.ones(4)})
    assert list(found) == ["a"]
    with pytest.raises(UserError, match="none of the 2 tensors"):
        matching_weights(tmp_path / "w.pt", {"c": torch.ones(2)})
    with pytest.raises(UserError, match="does not exist"):
        matching_weights(tmp_path / "none.pt", {})
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="cannot be read"):
        matching_weights(tmp_path / "torn.pt", {})


def models_command(*arguments, cwd, repository):
    environment = {**os.environ, "PYTHONPATH": str(repository), "HOME": str(cwd / "home")}
    return subprocess.run(
        [sys.executable, "-m", "models", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_from_training_over_resuming_to_predictions(tmp_path, repository):
    write_tiny_data(tmp_path)
    (tmp_path / "home").mkdir()
    options = (
        "train", "yolo11", "--fold", "0", "--epochs", "2", "--batch", "4", "--workers", "0",
        "--set", "image_size_wh=[64,64]", "--set", "log.every_steps=1",
    )  # fmt: skip
    done = models_command(*options, cwd=tmp_path, repository=repository)
    assert done.returncode == 0, done.stderr
    paths = RunPaths(tmp_path / "work" / "runs" / "yolo11" / "fold0")
    records = [json.loads(line) for line in paths.metrics_jsonl.read_text().splitlines()]
    assert [record["epoch"] for record in records if record["kind"] == "epoch"] == [0, 1]
    assert [record["step"] for record in records if record["kind"] == "step"] == list(range(1, 7))
    assert json.loads(paths.run_json.read_text())["state"] == "finished"

    # As if killed after the last epoch, before the end: resuming only closes the run.
    finished = json.loads(paths.finished_json.read_text())
    paths.finished_json.unlink()
    again = models_command(*options, "--resume", cwd=tmp_path, repository=repository)
    assert again.returncode == 0, again.stderr
    assert json.loads(paths.finished_json.read_text()) == finished

    run = str(paths.root.relative_to(tmp_path))
    done = models_command(
        "predict", run, "--split", "test", "--tta", "hflip", cwd=tmp_path, repository=repository
    )
    assert done.returncode == 0, done.stderr
    test_json = read_coco(tmp_path / "data" / "test.json")
    predictions = read_predictions(paths.predictions("test"), test_json)
    assert np.array_equal(predictions.image_ids, np.sort(test_json.image_ids))
    assert set(predictions.labels.tolist()) <= {3, 7}
    assert predictions.provenance.views == ("plain", "hflip")
    assert predictions.provenance.model == "yolo11"
    assert not any((tmp_path / "home").iterdir())


@pytest.mark.slow
def test_killed_stopped_and_damaged_runs_go_on(tmp_path, repository):
    write_tiny_data(tmp_path)
    (tmp_path / "home").mkdir()
    options = (
        "train", "yolo11", "--fold", "0", "--epochs", "5", "--batch", "4", "--workers", "0",
        "--set", "image_size_wh=[64,64]", "--set", "log.every_steps=1", "--resume",
    )  # fmt: skip
    paths = RunPaths(tmp_path / "work" / "runs" / "yolo11" / "fold0")

    killed = stop_in_epoch(1, signal.SIGKILL, options, paths, repository)
    assert killed.returncode == -signal.SIGKILL
    stopped = stop_in_epoch(2, signal.SIGINT, options, paths, repository)
    assert stopped.returncode == 130
    assert "stopped by SIGINT; whole epochs are kept. Continue with:" in stopped.stdout.read()
    assert json.loads(paths.run_json.read_text())["state"] == "interrupted"

    last = paths.root / "ultralytics" / "training" / "weights" / "last.pt"
    assert [path.name for path in last.parent.iterdir()] == ["last.pt"]  # no half-written file
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    damaged = models_command(*options, cwd=tmp_path, repository=repository)
    assert damaged.returncode == 2
    assert "the checkpoint cannot be read" in damaged.stderr
    assert "remove that file" in damaged.stderr
    torch.save({"epoch": 0, "ema": Trap(tmp_path / "sprung")}, last)
    strange = models_command(*options, cwd=tmp_path, repository=repository)
    assert strange.returncode == 2
    assert "the checkpoint cannot be read" in strange.stderr
    assert not (tmp_path / "sprung").exists()
    torch.save({"epoch": 0}, last)
    lacking = models_command(*options, cwd=tmp_path, repository=repository)
    assert lacking.returncode == 2
    assert "`average` is missing" in lacking.stderr
    assert str(last.resolve()) in lacking.stderr
    last.write_bytes(whole)

    done = models_command(*options, cwd=tmp_path, repository=repository)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in paths.metrics_jsonl.read_text().splitlines()]
    assert [r["epoch"] for r in records if r["kind"] == "epoch"] == list(range(5))
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, 16))


@pytest.mark.slow
def test_epochs_that_the_killed_parent_never_heard_of_are_in_the_metrics(tmp_path, repository):
    write_tiny_data(tmp_path)
    (tmp_path / "home").mkdir()
    options = (
        "train", "yolo11", "--fold", "0", "--epochs", "4", "--batch", "4", "--workers", "0",
        "--set", "image_size_wh=[64,64]", "--set", "log.every_steps=1", "--resume",
    )  # fmt: skip
    paths = RunPaths(tmp_path / "work" / "runs" / "yolo11" / "fold0")
    # The parent hears nothing while it is stopped; the process goes on training.
    process = stop_in_epoch(0, signal.SIGSTOP, options, paths, repository)
    until = time.monotonic() + 120
    while len(noted_epochs(library_paths(paths), 9)) < 3:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait()

    # At once: the process ended with its parent, and nothing holds the run.
    done = models_command(*options, cwd=tmp_path, repository=repository)
    assert done.returncode == 0, done.stderr
    assert "added after a kill" in done.stdout
    records = [json.loads(line) for line in paths.metrics_jsonl.read_text().splitlines()]
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert [record["epoch"] for record in epochs] == [0, 1, 2, 3]
    assert [record["step"] for record in epochs] == [3, 6, 9, 12]
    assert all("competition_map50" in record["val"] for record in epochs)
    seconds = [record["seconds"] for record in epochs]
    assert seconds == sorted(seconds)
    assert json.loads(paths.run_json.read_text())["parameters"] > 0


def stop_in_epoch(epoch, number, options, paths, repository):
    """Start training and send it a signal once a step of that epoch (from 0) is logged."""
    root = paths.root.parents[3]
    environment = {**os.environ, "PYTHONPATH": str(repository), "HOME": str(root / "home")}
    process = subprocess.Popen(
        [sys.executable, "-m", "models", *options],
        cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    wanted = f'"epoch": {epoch},'
    while not (paths.metrics_jsonl.is_file() and wanted in paths.metrics_jsonl.read_text()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    if number != signal.SIGSTOP:
        process.wait(timeout=60)
    return process


@pytest.mark.slow
def test_an_unreadable_image_ends_with_one_message(tmp_path, repository):
    write_tiny_data(tmp_path)
    (tmp_path / "data" / "train" / "0003.png").write_bytes(b"not a picture")
    done = models_command(
        "train", "yolo11", "--fold", "0", "--epochs", "1", "--workers", "0",
        "--set", "image_size_wh=[64,64]", cwd=tmp_path, repository=repository,
    )  # fmt: skip
    assert done.returncode == 2
    assert "1 pictures cannot be decoded whole: train/0003.png" in done.stderr
    assert "train/0003.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "work" / "runs" / "yolo11").exists()
