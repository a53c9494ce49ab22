"""Sets of files under SIGKILL: whole, or refused until they are written again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.whole.staging import staged_files
from tests.builders.coco_cases import random_coco
from tests.builders.killing import each_kill


def contents(folder: Path) -> dict[str, bytes]:
    """Return path -> bytes of all files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(*arguments: object) -> None:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output


@pytest.fixture
def train_json(tmp_path):
    write_coco(tmp_path / "train.json", random_coco(np.random.default_rng(0), 9))
    return tmp_path / "train.json"


def readable(folder: Path, names: list[str]) -> dict[str, list[str]]:
    """Return the images of those of the files that are not refused."""
    found = {}
    for name in names:
        if not (folder / name).is_file():
            continue
        try:
            found[name] = list(read_coco(folder / name).file_names)
        except UserError as error:
            assert ".incomplete" in str(error)
            assert "run the command that writes them again" in str(error)
    return found


def test_a_split_killed_at_any_rename_is_never_half_of_another(train_json, tmp_path):
    older, newer, folds = tmp_path / "older", tmp_path / "newer", tmp_path / "folds"
    run("split", "--coco", train_json, "--out", older, "--folds", 3, "--seed", 1)
    run("split", "--coco", train_json, "--out", newer, "--folds", 2, "--seed", 2)
    sets = [contents(older), contents(newer)]
    names = [name for name in sets[0] if name != "split.json"]
    images = [readable(older, names), readable(newer, names)]
    refused = 0
    again = ("split", "--coco", train_json, "--out", folds, "--folds", 2, "--seed", 2)
    shutil.copytree(older, folds)
    for _ in each_kill(lambda: run(*again)):
        found = readable(folds, names)
        if found in images:
            assert (folds / "split.json").is_file()
        else:
            assert not found
            assert not (folds / "split.json").exists()  # it vouches for the others
            refused += 1
        shutil.rmtree(folds)
        shutil.copytree(older, folds)
    assert refused == 5  # two folds of two files and split.json: each may be the first that is not
    assert contents(folds) == sets[1]


def test_a_split_that_was_killed_is_repaired_by_the_same_command(train_json, tmp_path):
    folds, wanted = tmp_path / "folds", tmp_path / "wanted"
    command = ("split", "--coco", train_json, "--folds", 2, "--out")
    run(*command, wanted)
    for _ in each_kill(lambda: run(*command, folds)):
        copy = tmp_path / "copy"
        shutil.copytree(folds, copy)
        run(*command, copy)
        assert contents(copy) == contents(wanted)
        assert [path for path in copy.iterdir() if path.is_dir()] == []
        shutil.rmtree(copy)


def test_a_sample_that_was_killed_is_drawn_again_without_a_word_of_overwriting(tmp_path):
    wanted, drawn = tmp_path / "wanted", tmp_path / "sample"
    command = ("sample", "--train-images", 1, "--test-images", 1, "--size", 64, "--out")
    run(*command, wanted)
    halves = 0
    for _ in each_kill(lambda: run(*command, drawn)):
        halves += (drawn / "test.json").is_file()
        assert not (drawn / "sample.json").exists()  # it vouches for the others
    assert halves == 3  # a picture, train.json and sample.json follow test.json
    assert contents(drawn) == contents(wanted)
    assert [path.name for path in drawn.iterdir() if path.name.startswith(".")] == []


def test_yolo_labels_killed_at_any_rename_are_never_read_in_part(train_json, tmp_path):
    out = tmp_path / "labels"
    command = ("convert", train_json, "--from", "coco", "--out", out)
    kills = 0
    for _ in each_kill(lambda: run(*command)):
        kills += 1
        assert not (out / "classes.txt").exists()  # it comes last; without it nothing is read
    assert kills == 11  # the note, nine images, the classes
    assert (out / "classes.txt").exists()
    assert not (out / ".incomplete").exists()


def test_files_that_are_no_part_of_the_set_are_read_all_the_same(train_json, tmp_path):
    def replace_others() -> None:
        with staged_files(tmp_path) as stage:
            write_coco(stage / "a.json", read_coco(train_json))
            write_coco(stage / "b.json", read_coco(train_json))

    assert len(list(each_kill(replace_others))) == 5  # two files, the note, two moves
    assert len(read_coco(train_json).images) == 9
    for _ in zip(range(4), each_kill(replace_others), strict=False):
        pass
    assert (tmp_path / ".incomplete").is_file()
    assert len(read_coco(train_json).images) == 9
    with pytest.raises(UserError, match="may belong to two different sets"):
        read_coco(tmp_path / "b.json")


def test_a_writer_that_is_alive_keeps_its_stage(tmp_path):
    with staged_files(tmp_path) as first:
        (first / "a").write_text("1")
        with staged_files(tmp_path) as second:
            (second / "b").write_text("2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("marker", ["m", None])
def test_a_block_that_fails_leaves_marker_and_files(tmp_path, marker):
    (tmp_path / "m").write_text("old")
    with (
        pytest.raises(RuntimeError),
        staged_files(tmp_path, marker=marker, obsolete=[tmp_path / "m"]) as stage,
    ):
        (stage / "m").write_text("new")
        raise RuntimeError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"m": "old"}
