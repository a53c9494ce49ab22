"""Names inside the data root and the work root."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.ground.errors import UserError
from data_tools.ground.paths import DataPaths, WorkPaths


def test_where_things_are():
    work = WorkPaths(Path("work"))
    assert work.val_json(3) == Path("work/folds/val_3.json")
    assert work.pseudo_json(3, 2) == Path("work/pseudo/round2/train_3.json")
    assert work.run("yolox", 3).predictions("val") == Path(
        "work/runs/yolox/fold3/predictions/val.parquet"
    )
    assert DataPaths(Path("data")).hidden_test_json == Path("data/hidden/test_truth.json")


def test_a_run_has_a_name_that_a_folder_can_have():
    with pytest.raises(UserError, match="cannot name a run"):
        WorkPaths(Path("work")).run("../elsewhere", 3)
