"""Sets of files that a kill left half moved are written again, not taken for the user's own."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import write_coco
from tests.builders.coco_cases import random_coco
from tests.builders.killing import each_kill
from workflow.given.settings import read_settings
from workflow.place import place_of
from workflow.steps.data import split


def test_a_split_that_was_killed_is_drawn_again(tmp_path):
    write_coco(tmp_path / "train.json", random_coco(np.random.default_rng(0), 6))
    place = place_of(read_settings({"WORK": str(tmp_path / "work"), "DATA": str(tmp_path)}, {}))
    folds = place.work.folds
    command = ["split", "--coco", str(tmp_path / "train.json"), "--out", str(folds), "--folds", "2"]
    assert len(split(place)) == 1
    halves = 0
    for _ in each_kill(lambda: CliRunner().invoke(main, command)):
        halves += any(folds.glob("val_*.json"))
        assert [step.kind for step in split(place)] == ["split"]
    assert halves > 0
    assert json.loads((folds / "split.json").read_text())["folds"] == 2
    assert split(place) == ()  # the last one ended
