"""Names inside the data root and the work root."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.ground.paths import DataPaths, WorkPaths, experiment_name


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "tood_dcn"),
        ({"pseudo_round": 1}, "tood_dcn-pseudo1"),
        ({"mosaic": 0.5}, "tood_dcn-mosaic0.5"),
        ({"pseudo_round": 2, "mosaic": 1.0}, "tood_dcn-pseudo2-mosaic1"),
    ],
)
def test_the_name_of_an_experiment_states_what_changed(options, name):
    assert experiment_name("tood_dcn", **options) == name


def test_where_things_are():
    work = WorkPaths(Path("work"))
    assert work.val_json(3) == Path("work/folds/val_3.json")
    assert work.pseudo_json(3, 2) == Path("work/pseudo/round2/train_3.json")
    assert work.run("yolox", 3).predictions("val") == Path(
        "work/runs/yolox/fold3/predictions/val.parquet"
    )
    assert DataPaths(Path("data")).hidden_test_json == Path("data/hidden/test_truth.json")
