"""Files that data_tools reads, damaged in every way: told with file and key, never a traceback."""

from __future__ import annotations

import pytest

from data_tools.cli import main
from data_tools.coco.workspace import claim_work_folder
from data_tools.ground.paths import DataPaths, WorkPaths
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.sample.dataset import SampleParameters, write_sample
from tests.builders.damage import JSON, METADATA
from tests.builders.damage_table import Reading, of_command, untold
from tests.builders.experiments_workspace import Quality, make_workspace, perturbed

SMALL = SampleParameters(train_images=1, test_images=1, size=64, seed=1)
# A COCO file says what it says: another valid value is another dataset.
ANNOTATIONS = ("images*", "annotations*", "categories*", "info", "licenses*")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A dataset in two folds, with predictions of its test images."""
    space = make_workspace(tmp_path_factory.mktemp("damaged"), train=5, val=1, test=2)
    words = ["--coco", DataPaths(space.data).train_json, "--out", WorkPaths(space.work).folds]
    of_command(main, ["split", *words, "--folds", "2"])()
    origin = Provenance(dataset=space.test.fingerprint, train_file_names=space.train.file_names)
    boxes = perturbed(space.test, Quality(false_per_image=3), 1, origin)
    write_predictions(space.work / "test.parquet", boxes)
    return space


def pseudo_labels(space, out, *words):
    """Return a reader that labels the test images for fold 0."""
    given = [
        "pseudo", "--train", WorkPaths(space.work).train_json(0), "--threshold", "0.1",
        "--test", DataPaths(space.data).test_json, "--predictions", space.work / "test.parquet",
        "--skip-duplicate-check", "--allow-leak", "--out", out, *words,
    ]  # fmt: skip
    return of_command(main, given, out)


@pytest.mark.parametrize("command", ["stats", "split", "convert"])
def test_annotations(space, tmp_path, command):
    path = DataPaths(space.data).train_json
    words = {
        "stats": ["stats", path],
        "split": ["split", "--coco", path, "--out", tmp_path, "--folds", "2"],
        "convert": ["convert", path, "--from", "coco", "--out", tmp_path / "c.json"],
    }[command]
    reading = Reading(path, JSON, of_command(main, words), free=ANNOTATIONS, unnamed=ANNOTATIONS)
    assert untold(reading) == []


def test_the_record_of_folds(space, tmp_path):
    path = WorkPaths(space.work).split_json
    read = pseudo_labels(space, tmp_path / "pseudo.json")
    # Gone, the message is that it is not beside the fold.
    gone = (": a folder", ": a dangling link")
    assert untold(Reading(path, JSON, read, free=("fold_of_image*",), unnamed=gone)) == []


def test_the_note_of_a_training_part(space, tmp_path):
    path = WorkPaths(space.work).train_json(0)
    read = pseudo_labels(space, tmp_path / "pseudo.json")
    free = (*ANNOTATIONS, "info.boxcamp", "info.boxcamp.*")
    assert untold(Reading(path, JSON, read, free=free, unnamed=ANNOTATIONS)) == []


def test_predictions(space, tmp_path):
    path = space.work / "test.parquet"
    read = pseudo_labels(space, tmp_path / "pseudo.json")
    reading = Reading(path, METADATA, read, free=("provenance*",), unnamed=("image_ids*",))
    assert untold(reading) == []


def test_results_of_other_tools(space, tmp_path):
    path, images = tmp_path / "results.json", DataPaths(space.data).test_json
    boxes = space.work / "test.parquet"
    words = ["convert", boxes, "--from", "predictions", "--images", images, "--out", path]
    of_command(main, words)()
    back = ["convert", path, "--from", "predictions", "--images", images, "--out"]
    read = of_command(main, [*back, tmp_path / "back.json"], tmp_path / "back.json")
    assert untold(Reading(path, JSON, read, free=("[[]0]*",), unnamed=("[[]0]*",))) == []


def test_the_claim_of_a_work_folder(space, tmp_path):
    work = WorkPaths(tmp_path / "work")
    data = DataPaths(space.data)
    claim_work_folder(data, work)
    reading = Reading(
        work.dataset_json, JSON, lambda: claim_work_folder(data, work), unnamed=("sha256*",)
    )
    assert untold(reading) == []


def test_the_marker_of_a_sample(tmp_path):
    write_sample(tmp_path, SMALL, tick=lambda: None)
    reading = Reading(
        DataPaths(tmp_path).sample_marker,
        JSON,
        lambda: write_sample(tmp_path, SMALL, tick=lambda: None),
        unnamed=(": a dangling link",),  # a folder without the marker is no sample
    )
    assert untold(reading) == []
