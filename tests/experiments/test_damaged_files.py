"""Files of run folders that somebody damaged: each command names file and key, none a traceback."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from experiments.cli import main as experiments
from models.cli import main as models
from tests.builders.experiments_workspace import make_workspace
from tests.builders.malformed import MALFORMED

ABSENT = object()
# (file, key, value, what the message says of it)
VALUES = [
    ("run.json", "model", 3, "`model` is 3"),
    ("run.json", "experiment", ABSENT, "`experiment` is missing"),
    ("run.json", "fold", "3", '`fold` is "3"'),
    ("run.json", "fold", -1, "`fold` is -1"),
    ("run.json", "fold", True, "`fold` is true"),
    ("run.json", "data", [], "`data` is []"),
    ("run.json", "data", {"val_json": 3}, "`data.val_json` is 3"),
    ("run.json", "train_file_names", "a.jpg", '`train_file_names` is "a.jpg"'),
    ("run.json", "leaked", 3, "`leaked` is 3"),
    ("run.json", "minutes_per_epoch", float("inf"), "`minutes_per_epoch` is Infinity"),
    ("finished.json", "epoch", "last", '`epoch` is "last"'),
    ("finished.json", "val", None, "`val` is null"),
]
FOR_PREDICTING = [
    *(entry for entry in VALUES if entry[0] == "run.json"),
    ("config.json", "classes", 3, "`classes` is 3"),
    ("config.json", "category_ids", ["x"], '`category_ids[0]` is "x"'),
    ("config.json", "image_size_wh", [0, 64], "`image_size_wh[0]` is 0"),
    ("config.json", "architecture", ABSENT, "`architecture` is missing"),
    ("config.json", "batch_size", float("nan"), "`batch_size` is NaN"),
    ("config.json", "precision", "fp8", '`precision` is "fp8"'),
]
READERS = {
    "list": ("run.json", "config.json", "finished.json"),
    "compare": ("run.json", "config.json", "finished.json"),
    "report": ("run.json", "config.json", "finished.json"),
    "predict": ("run.json", "config.json"),
}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    space = make_workspace(tmp_path_factory.mktemp("damaged"), train=3, val=4, test=2)
    for name in ("tood", "yolox"):
        space.add_run(name, model=name)
    return space


def invoke(command, space):
    work, run = ["--work", str(space.work)], str(space.run_paths("yolox").root)
    words = {
        "list": ["list", *work],
        "compare": ["compare", "tood", "yolox", "--samples", "100", *work],
        "report": ["report", "--samples", "100", "--pictures", "1", *work],
        "predict": ["predict", run, "--split", "val", "--data", str(space.data)],
    }[command]
    return CliRunner().invoke(models if command == "predict" else experiments, words)


def assert_refused(command, space, name, content, fault):
    path = space.run_paths("yolox").root / name
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        result = invoke(command, space)
    finally:
        path.write_bytes(before)
    if command == "report":  # of the other runs, and says which one it leaves out
        assert result.exit_code == 0, result.output
        assert f"run {path.parent} left out: " in result.output
    else:
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)
        assert str(path) in result.output
    assert fault in result.output


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, names in READERS.items() for name in names]
)
@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: repr(content[:16]))
def test_what_is_no_such_file(space, command, name, content):
    assert_refused(command, space, name, content, "")


@pytest.mark.parametrize(
    ("command", "name", "key", "value", "fault"),
    [(command, *entry) for command in ("list", "compare", "report") for entry in VALUES]
    + [("predict", *entry) for entry in FOR_PREDICTING],
)
def test_a_wrong_value(space, command, name, key, value, fault):
    content = json.loads((space.run_paths("yolox").root / name).read_text())
    content = {other: content[other] for other in content if other != key}
    if value is not ABSENT:
        content[key] = value
    assert_refused(command, space, name, json.dumps(content).encode(), fault)
