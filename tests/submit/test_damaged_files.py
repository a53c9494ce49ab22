"""Files that submit reads, damaged in every way: told with file and key, never a traceback."""

from __future__ import annotations

import json

import pytest
import yaml

from data_tools.ground.paths import WorkPaths
from submit.cli import main
from tests.builders.damage import JSON, METADATA, YAML
from tests.builders.damage_table import Reading, of_command, untold
from tests.builders.experiments_workspace import FOLD, make_workspace

FORMAT = {
    "description": "a format of my own",
    "columns": ["name", "PredictionString"],
    "image_column": "name",
    "image_key": "file_name",
    "fields": ["label", "score", "xmin", "ymin", "xmax", "ymax"],
    "score_digits": 4,
}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    space = make_workspace(tmp_path_factory.mktemp("damaged"), train=3, val=8, test=1)
    space.add_run("tood")
    return space


@pytest.fixture(scope="module")
def truth(space):
    return WorkPaths(space.work).val_json(FOLD)


@pytest.fixture(scope="module")
def boxes(space):
    return space.run_paths("tood").predictions("val")


def test_a_score_file(boxes, truth, tmp_path):
    path, submission = tmp_path / "score.json", tmp_path / "s.csv"
    measure = ["score", boxes, "--truth", truth, "--samples", "20", "--json-out", path]
    of_command(main, measure)()
    content = json.loads(path.read_text())
    score = {key: content[key] for key in ("members", "competition_map50", "map", "intervals")}
    score["leaked"] = {"images": 1, "of": 8, "examples": ["a.jpg"], "reasons": ["forced"]}
    path.write_text(json.dumps(score))
    submission.write_text("PredictionString,image_id\n")

    def read():
        ledger = tmp_path / "ledger.csv"
        ledger.unlink(missing_ok=True)
        return of_command(main, ["log", submission, "--ledger", ledger, "--score", path])()

    free = ("members*", "competition_map50", "intervals*", "leaked*")
    assert untold(Reading(path, JSON, read, free=free)) == []


def test_a_format_file(boxes, truth, tmp_path):
    path, out = tmp_path / "formats.yaml", tmp_path / "s.csv"
    path.write_text(yaml.safe_dump({"mine": FORMAT}))
    words = ["write", boxes, "--images", truth, "--out", out, "--format", "mine"]
    read = of_command(main, [*words, "--format-file", path], out)
    # Columns and fields are told by the names that they have; without `mine` there is no format.
    told = ("mine", "mine.image_column*", "mine.fields*")
    reading = Reading(path, YAML, read, free=("mine.*",), unnamed=told)
    assert untold(reading) == []


@pytest.mark.parametrize("command", ["score", "write"])
def test_predictions(boxes, truth, tmp_path, command):
    out = tmp_path / "s.csv"
    words = {
        "score": ["score", boxes, "--truth", truth],
        "write": ["write", boxes, "--images", truth, "--out", out],
    }[command]
    read = of_command(main, words)
    reading = Reading(boxes, METADATA, read, free=("provenance*",), unnamed=("image_ids*",))
    assert untold(reading) == []


def test_the_truth(boxes, truth):
    read = of_command(main, ["score", boxes, "--truth", truth])
    told = ("images*", "annotations*", "categories*")
    assert untold(Reading(truth, JSON, read, free=told, unnamed=told)) == []
