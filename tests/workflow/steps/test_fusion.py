"""Pseudo-labels that are there are neither replaced nor passed over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_tools.coco.dataset import write_coco
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import random_coco
from workflow.given.settings import read_settings
from workflow.place import place_of
from workflow.records import write_record
from workflow.rules import stages_of
from workflow.steps.fusion import pseudo


def place_in(folder, **variables):
    given = {"WORK": str(folder / "work"), "DATA": str(folder), **variables}
    return place_of(read_settings(given, {}))


@pytest.fixture
def labelled(tmp_path):
    """A folder with round 1 of fold 3, taught by `a` and `b`, made with `--threshold 0.5`."""
    content = random_coco(np.random.default_rng(0), 6)
    write_coco(tmp_path / "train.json", content)
    write_coco(tmp_path / "test.json", content)
    place = place_in(tmp_path, MEMBERS="a b", PSEUDO_FLAGS="--threshold 0.5")
    (step,) = pseudo(place, 1)
    teachers = [{"run": name, "model": "tood", "fold": 3} for name in ("b", "a")]
    labels = replace(content, info={"boxcamp": {"teachers": teachers}})
    write_coco(place.work.pseudo_json(3, 1), labels)
    for part in ("train", "val"):
        write_coco(place.work.folds / f"{part}_3.json", content)
    write_record(place.work, step, 1.0)
    return tmp_path


def test_the_same_labels_are_left_alone(labelled):
    assert (
        stages_of("pseudo", place_in(labelled, MEMBERS="b a", PSEUDO_FLAGS="--threshold 0.5")) == []
    )


def test_other_teachers_and_options_are_refused_by_name(labelled):
    with pytest.raises(UserError) as caught:
        stages_of("pseudo", place_in(labelled, MEMBERS="a c", PSEUDO_FLAGS="--threshold 0.7"))
    assert caught.value.what == (
        "the labels there are by a, b, asked for is a, c; "
        "they were made with the options 0.5, asked for is 0.7"
    )
    assert caught.value.next_step.startswith("make pseudo ROUND=2")


def test_training_on_them_does_not_ask_for_teachers(labelled):
    plan = stages_of("train", place_in(labelled, PSEUDO="1"))
    assert [step.kind for stage in plan for chain in stage for step in chain] == [
        "train",
        "predict",
    ]
