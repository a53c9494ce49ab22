"""Searching fusion settings: never worse than the baseline, seeded, guarded against leaks."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.ground.errors import UserError
from ensemble.cli import main
from ensemble.fuse import fuse_members
from ensemble.members import Member
from ensemble.settings import FusionSettings, read_settings
from ensemble.tune import neighbour, random_settings, search, split_in_halves, tune
from scoring.score import score
from tests.builders.fusion_files import Workspace, make_dataset, make_member


def noisy_members(seed=0, images=24):
    """A good member and a poor one that is sure of itself: weights and skipping help."""
    rng = np.random.default_rng(seed)
    truth, good, poor = [], [], []
    for image_id in range(10, 10 * images + 1, 10):
        for _ in range(2):
            x, y = rng.uniform(0, 30, 2)
            truth.append((image_id, 1, (x, y, 20, 20)))
            near, off = rng.normal(0, 1, 4), rng.normal(0, 8, 2)
            box = np.clip(np.array([x, y, x + 20, y + 20]) + near, 0, 60)
            good.append((image_id, 1, rng.uniform(0.4, 0.9), *box))
            far = np.clip(np.array([x, y, x + 20, y + 20]) + np.tile(off, 2), 0, 60)
            poor.append((image_id, 1, rng.uniform(0.5, 1.0), *far))
    dataset = make_dataset(images=images, truth=truth)
    return dataset, [
        Member("good", make_member(dataset, good)),
        Member("poor", make_member(dataset, poor)),
    ]


def test_tuning_beats_the_baseline_and_its_score_is_the_scorers():
    truth, members = noisy_members()
    tuned = tune(members, truth, FusionSettings(), trials=20, seed=1)
    assert tuned.score > tuned.baseline
    for settings, expected in ((tuned.settings, tuned.score), (FusionSettings(), tuned.baseline)):
        fused = fuse_members(members, truth, settings).predictions
        assert score(fused, truth)["competition_map50"] == pytest.approx(expected, abs=1e-12)


def test_the_same_seed_finds_the_same_settings():
    truth, members = noisy_members()
    first, second = (tune(members, truth, FusionSettings(), trials=6, seed=4) for _ in range(2))
    assert first == second


def test_progress_counts_three_searches():
    truth, members = noisy_members(images=4)
    steps = []
    tune(members, truth, FusionSettings(), trials=5, progress=steps.append)
    assert sum(steps) == 15


def test_search_keeps_the_start_when_nothing_is_better():
    start = FusionSettings()
    best, value = search(lambda settings: 1.0 if settings == start else 0.5, start, 2, 10, 0)
    assert best == start and value == 1.0


def test_search_climbs():
    def evaluate(settings):
        return -abs(settings.iou - 0.37)

    best, _ = search(evaluate, FusionSettings(), 2, 60, 0)
    assert abs(best.iou - 0.37) <= 0.02


def test_drawn_settings_stay_in_range_and_keep_the_method():
    generator = random.Random(0)
    for method in ("wbf", "nms"):
        drawn = FusionSettings(method=method)
        for step in range(200):
            make = random_settings if step % 10 == 0 else neighbour
            drawn = make(generator, drawn, 3)
            assert drawn.method == method and 0.3 <= drawn.iou <= 0.8
            assert drawn.weights is None or all(0.25 <= w <= 4 for w in drawn.weights)
            assert method == "wbf" or drawn.confidence == "avg"


def test_halves_cover_all_images_once():
    truth, _ = noisy_members(images=7)
    first, second = split_in_halves(truth, 3)
    assert (
        sorted([*first, *second]) == truth.image_ids.tolist() and abs(len(first) - len(second)) == 1
    )


def test_held_out_gain_is_zero_when_nothing_can_be_gained():
    dataset = make_dataset(images=4, truth=[(i, 1, (0, 0, 40, 40)) for i in (10, 20, 30, 40)])
    rows = [(i, 1, 0.9, 0, 0, 40, 40) for i in (10, 20, 30, 40)]
    tuned = tune([Member("a", make_member(dataset, rows))], dataset, FusionSettings(), trials=4)
    assert (tuned.baseline, tuned.score, tuned.held_out_gain) == (1.0, 1.0, 0.0)


def test_members_that_saw_the_images_are_refused_unless_forced():
    truth, members = noisy_members(images=4)
    seen = make_member(truth, [(10, 1, 0.9, 0, 0, 20, 20)], train_file_names=("test/0002.jpg",))
    members.append(Member("leaky", seen))
    with pytest.raises(UserError, match="the first is leaky: LEAKED: 1 of 4 scored images"):
        tune(members, truth, FusionSettings(), trials=2)
    forced = tune(members, truth, FusionSettings(), trials=2, allow_leak=True)
    assert list(forced.leaked) == ["leaky"]


def test_a_forced_combination_counts_as_a_leak():
    truth, members = noisy_members(images=4)
    forced = make_member(truth, [], leaked=("the teacher saw fold 3",))
    members.append(Member("forced", forced))
    with pytest.raises(UserError, match="forced: LEAKED: the teacher saw fold 3"):
        tune(members, truth, FusionSettings(), trials=2)


def test_the_command_writes_settings_that_fuse_takes(tmp_path):
    space = Workspace(tmp_path)
    truth = [(10, 1, (0, 0, 40, 40)), (20, 1, (0, 0, 40, 40)), (30, 7, (5, 5, 20, 20))]
    dataset = space.add_dataset("val.json", truth=truth)
    rows = [(i, 1, 0.9, 0, 0, 40, 40) for i in (10, 20)]
    a = space.add_parquet("a.parquet", dataset, rows, run="tood", fold=3)
    b = space.add_parquet("b.parquet", dataset, [(30, 7, 0.4, 5, 5, 25, 25)], run="yolox", fold=3)
    out = tmp_path / "settings.json"
    words = [a, b, "--truth", str(tmp_path / "val.json"), "--out", str(out), "--trials", "3"]
    result = CliRunner().invoke(main, ["tune", *words])
    assert result.exit_code == 0, result.output
    assert "optimistic" in result.output and "gain on held-out halves" in result.output
    written = json.loads(out.read_text())
    assert written["members"] == ["tood/fold3", "yolox/fold3"] and written["trials"] == 3
    assert read_settings(out).settings.method == "wbf"
    words = [a, b, "--images", str(tmp_path / "val.json"), "--out", str(tmp_path / "o.parquet")]
    result = CliRunner().invoke(main, ["fuse", *words, "--settings", str(out)])
    assert result.exit_code == 0, result.output


def test_truth_without_boxes_is_refused(tmp_path):
    space = Workspace(tmp_path)
    dataset = space.add_dataset("test.json")
    a = space.add_parquet("a.parquet", dataset, [])
    words = ["tune", a, "--truth", str(tmp_path / "test.json"), "--out", str(tmp_path / "s.json")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "no annotations" in result.output
    assert not (tmp_path / "s.json").exists()
