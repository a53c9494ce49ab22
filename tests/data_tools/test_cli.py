"""Users' mistakes through the command line: one message, status 2, nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import write_coco
from tests.builders.coco_cases import box, coco_dict, image, random_coco, write_dict

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = ("sample", "verify", "repair", "split", "pseudo", "stats", "convert", "claim")
TWO_IMAGES = [image(0), image(1)]


def read_by(command: str, path) -> list[str]:
    """Arguments with which a command reads `path` as its first input."""
    folder = path.parent
    return {
        "verify": ["verify", str(folder), "--coco", str(path)],
        "split": ["split", "--coco", str(path), "--out", str(folder / "out"), "--folds", "2"],
        "stats": ["stats", str(path)],
        "convert": ["convert", str(path), "--from", "coco", "--out", str(folder / "out")],
        "pseudo": [
            "pseudo", "--train", str(path), "--test", str(path),
            "--predictions", str(folder / "p.parquet"), "--out", str(folder / "out.json"),
        ],
    }[command]  # fmt: skip


READERS = ("verify", "split", "stats", "convert", "pseudo")


def test_the_commands_are_these():
    assert set(main.commands) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_describes_every_option_and_shows_an_example(command):
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    for parameter in main.commands[command].params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name


def test_help_answers_in_under_a_second():
    # The best of three: a busy machine must not fail it.
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "data_tools", "--help"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(time.perf_counter() - start)
    assert min(times) < 1
    assert "pseudo" in done.stdout


def test_the_entry_point_ends_with_2_and_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "data_tools", "stats", "nowhere.json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the file does not exist\n  where:    nowhere.json\n")
    assert done.stdout == ""


@pytest.mark.parametrize("command", READERS)
def test_a_missing_file(tmp_path, command):
    result = CliRunner().invoke(main, read_by(command, tmp_path / "train.json"))
    assert result.exit_code == 2
    assert "the file does not exist" in result.stderr
    assert str(tmp_path / "train.json") in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READERS)
def test_a_truncated_file(tmp_path, command):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(coco_dict(TWO_IMAGES))[:60])
    result = CliRunner().invoke(main, read_by(command, path))
    assert result.exit_code == 2
    assert "not valid JSON" in result.stderr
    assert "it may have been cut off" in result.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco_dict([image(0), image(0, name="b.jpg")]), "1 duplicate image ids, the first is 0"),
        (coco_dict(TWO_IMAGES, [box(4, 0, 3, [0, 0, 1, 1])] * 2), "1 duplicate annotation ids"),
    ],
    ids=["images", "annotations"],
)
def test_duplicate_ids(tmp_path, command, content, message):
    path = write_dict(tmp_path / "train.json", content)
    result = CliRunner().invoke(main, read_by(command, path))
    if (command, message) == ("convert", "1 duplicate annotation ids"):
        assert "1 x annotation ids that stood twice" in result.stdout  # it numbers them anew
        return
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("split", "2 boxes without area are left out"),
        ("convert", "1 boxes without area left out\n  1 x boxes with a negative width"),
        ("stats", "skipped boxes"),
    ],
)
def test_boxes_without_area_are_skipped_and_counted(tmp_path, command, message):
    boxes = [box(0, 0, 3, [0, 0, 5, 5]), box(1, 0, 3, [1, 1, 0, 5]), box(2, 1, 3, [1, 1, 5, -2])]
    path = write_dict(tmp_path / "train.json", coco_dict(TWO_IMAGES, boxes))
    result = CliRunner().invoke(main, read_by(command, path))
    assert result.exit_code == 0, result.output
    assert message in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["draw"], "no command 'draw'; the commands are:"),
        (["sample", "--colour", "red"], "No such option"),
        (["sample", "--train-images", "many"], "'many' is not a valid integer"),
        (["sample", "--out", "/dev/null/sample"], "a file stands where a folder is needed"),
        (["sample", "--size", "10", "--out", "x"], "--size is 10"),
    ],
)
def test_wrong_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_a_file_is_expected(tmp_path):
    result = CliRunner().invoke(main, ["stats", str(tmp_path)])
    assert result.exit_code == 2
    assert "give a file, not a folder" in result.stderr


def test_an_output_path_under_a_file(tmp_path):
    write_coco(tmp_path / "train.json", random_coco(np.random.default_rng(0), 6))
    (tmp_path / "file").write_text("x")
    out = str(tmp_path / "file" / "folds")
    coco = str(tmp_path / "train.json")
    result = CliRunner().invoke(main, ["split", "--coco", coco, "--out", out])
    assert result.exit_code == 2
    assert "a file stands where a folder is needed" in result.stderr
    assert (tmp_path / "file").read_text() == "x"


def test_a_full_disk_while_converting(tmp_path, monkeypatch):
    write_coco(tmp_path / "train.json", random_coco(np.random.default_rng(0), 6))
    monkeypatch.setattr("data_tools.ground.whole.temporaries.secrets.token_hex", lambda _: "0")
    (tmp_path / ".out.0.tmp.json").symlink_to("/dev/full")
    source, out = str(tmp_path / "train.json"), str(tmp_path / "out.json")
    result = CliRunner().invoke(main, ["convert", source, "--from", "coco", "--out", out])
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["train.json"]


def test_drawing_a_sample_twice(tmp_path):
    arguments = ["sample", "--out", str(tmp_path / "data"), "--train-images", "2"]
    arguments += ["--test-images", "1", "--size", "64"]
    first = CliRunner().invoke(main, arguments)
    assert first.stdout.startswith("drawn: 2 training and 1 test images, 64 x 64 pixels")
    assert CliRunner().invoke(main, arguments).stdout.startswith("kept: 2 training")
    other = CliRunner().invoke(main, [*arguments, "--seed", "5"])
    assert other.exit_code == 2
    assert "drawn with other parameters" in other.stderr
