"""Fold files and what split.json records."""

from __future__ import annotations

import json
import re
import resource

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import read_coco, write_coco
from data_tools.folds.split import read_split, split_dataset, write_split
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from tests.builders.coco_cases import box, coco_dict, image, random_coco, write_dict

SPLIT = {
    "scheme": "seed", "seed": 1, "folds": 2, "source": "train.json", "source_sha256": "ab",
    "dataset": "cd", "fold_of_image": {"a": 0}, "images_without_boxes": 0, "skipped_boxes": 0,
}  # fmt: skip


@pytest.fixture
def train_json(tmp_path):
    path = tmp_path / "train.json"
    write_coco(path, random_coco(np.random.default_rng(0), 23))
    return path


def run(train_json, *options: str):
    out = str(train_json.parent / "folds")
    return CliRunner().invoke(main, ["split", "--coco", str(train_json), "--out", out, *options])


@pytest.mark.parametrize("scheme", ["seed", "stratified"])
def test_every_image_is_validated_once_and_trained_on_otherwise(train_json, scheme):
    result = run(train_json, "--scheme", scheme, "--folds", "4")
    assert result.exit_code == 0, result.output
    whole, folds = read_coco(train_json), train_json.parent / "folds"
    validated = []
    for fold in range(4):
        train, val = (read_coco(folds / f"{part}_{fold}.json") for part in ("train", "val"))
        assert set(train.file_names) | set(val.file_names) == set(whole.file_names)
        assert not set(train.file_names) & set(val.file_names)
        assert len(train.annotations) + len(val.annotations) == len(whole.annotations)
        assert train.categories == val.categories == whole.categories
        validated += val.file_names
    assert sorted(validated) == sorted(whole.file_names)
    assert sorted(p.name for p in folds.iterdir()) == sorted(
        ["split.json", *(f"{part}_{k}.json" for part in ("train", "val") for k in range(4))]
    )


def test_split_json_says_how_and_of_what(train_json):
    run(train_json, "--seed", "7")
    split = read_split(train_json.parent / "folds/split.json")
    assert (split.scheme, split.seed, split.folds) == ("seed", 7, 5)
    assert split.source_sha256 == sha256_of_file(train_json)
    assert split.dataset == read_coco(train_json).fingerprint
    for fold in range(5):
        val = read_coco(train_json.parent / f"folds/val_{fold}.json")
        assert split.file_names(fold) == set(val.file_names)
        assert val.info["boxcamp"]["fold"] == fold
        assert val.info["boxcamp"]["part"] == "val"


def test_the_default_is_the_published_split(train_json):
    run(train_json)
    by_default = (train_json.parent / "folds/split.json").read_bytes()
    run(train_json, "--scheme", "seed", "--seed", "411", "--folds", "5")
    assert (train_json.parent / "folds/split.json").read_bytes() == by_default


def test_the_same_call_writes_the_same_bytes(train_json):
    run(train_json)
    folds = train_json.parent / "folds"
    before = {path.name: path.read_bytes() for path in folds.iterdir()}
    run(train_json)
    assert {path.name: path.read_bytes() for path in folds.iterdir()} == before


def test_fewer_folds_than_before_leave_no_old_ones(train_json):
    run(train_json, "--folds", "6")
    run(train_json, "--folds", "3")
    names = {path.name for path in (train_json.parent / "folds").glob("*_*.json")}
    assert names == {f"{part}_{k}.json" for part in ("train", "val") for k in range(3)}


def test_images_without_boxes_and_skipped_boxes_are_reported(tmp_path):
    boxes = [box(0, 0, 3, [0, 0, 5, 5]), box(1, 1, 3, [0, 0, 0, 5])]
    path = write_dict(tmp_path / "train.json", coco_dict([image(k) for k in range(6)], boxes))
    result = run(path, "--folds", "2")
    assert "5 images without boxes are kept" in result.stdout
    assert "1 boxes without area are left out" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheme", "random"], "no scheme 'random'"),
        (["--folds", "1"], "1 folds of 23 images"),
        (["--folds", "24"], "24 folds of 23 images"),
        (["--folds", "many"], "'many' is not a valid integer"),
        (["--against", "x.json"], "--against only goes with --search"),
        (["--search", "3"], "--search has nothing to compare with"),
        (["--out", "/dev/null/folds"], "a file stands where a folder is needed"),
    ],
)
def test_mistakes_end_with_2_and_write_nothing(train_json, options, message):
    result = run(train_json, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert [path.name for path in train_json.parent.iterdir()] == ["train.json"]


def test_a_failure_halfway_keeps_the_old_folds(train_json):
    run(train_json)
    folds = train_json.parent / "folds"
    before = {path.name: path.read_bytes() for path in folds.iterdir()}

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(map(len, before.values())) // 2, limits[1]))
    try:
        result = run(train_json, "--seed", "9")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 2
    assert "File too large" in result.stderr
    assert {path.name: path.read_bytes() for path in folds.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({}, "`fold_of_image` is missing"),
        ({"scheme": 1}, "`scheme` is 1, expected text"),
        ([], "the content is [], expected a mapping"),
        ({**SPLIT, "folds": 1}, "`folds` is 1, expected 2 or more"),
        ({**SPLIT, "fold_of_image": {"a": 2}}, "`fold_of_image` puts 'a' into fold 2"),
    ],
)
def test_a_split_json_of_someone_else(tmp_path, content, fault):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=re.escape(fault)):
        read_split(path)


def test_write_split_takes_any_folder_name(train_json, tmp_path):
    split, dataset = split_dataset(train_json, folds=2, seed=0, scheme="seed")
    write_split(tmp_path / "with space" / "x", split, dataset)
    assert (tmp_path / "with space/x/val_1.json").is_file()


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_that_no_generator_takes_is_refused(tmp_path, seed):
    arguments = ["split", "--coco", "a.json", "--out", str(tmp_path / "folds"), "--seed", seed]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Invalid value for '--seed'" in result.stderr
