"""Names inside the data root and the work root."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.ground.errors import UserError
from data_tools.ground.paths import (
    DataPaths,
    RunPaths,
    WorkPaths,
    holds_sources,
    of_round,
    sources_path,
)


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


def test_folds_are_told_by_the_names_of_their_files(tmp_path):
    work = WorkPaths(tmp_path)
    assert work.drawn_folds() == []
    work.folds.mkdir()
    for path in (work.val_json(1), work.val_json(0), work.train_json(1), work.split_json):
        path.touch()
    assert (work.drawn_folds(), work.drawn_folds("train")) == (["0", "1"], ["1"])


def test_a_checkpoint_or_a_batch_on_record_is_a_trace_of_training(tmp_path):
    run = RunPaths(tmp_path)
    run.checkpoints.mkdir()
    run.run_json.touch()
    assert not run.has_traces()
    run.nonfinite_json(step=3, rank=0).touch()
    assert run.has_traces()


def test_files_beside_others():
    sources = sources_path("a/val.parquet")
    assert sources == Path("a/val.sources.parquet")
    assert holds_sources(sources)
    assert not holds_sources(Path("a/val.parquet"))
    work = WorkPaths(Path("work"))
    assert of_round(work.pseudo_json(3, 2), 1) == work.pseudo_json(3, 1)
