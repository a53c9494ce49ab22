"""The mistake of leaving silent members out, replayed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from ensemble.audit import audit, changed_boxes, fuse_rightly, fuse_without_silent
from ensemble.cli import main
from ensemble.fuse import fuse_members
from ensemble.member_table import build_table
from ensemble.members import Member
from ensemble.settings import FusionSettings
from tests.builders.fusion_files import Workspace, make_dataset, make_member
from tests.ensemble.test_engine import random_table

LEFT = (0, 0, 40, 40)
FAR = (60, 50, 90, 75)


def three_members(dataset):
    """Image 10: all three; image 20: only the first; image 30: nobody."""
    rows = [
        [(10, 1, 0.9, *LEFT), (20, 1, 0.6, *LEFT)],
        [(10, 1, 0.6, *LEFT)],
        [(10, 1, 0.3, *LEFT)],
    ]
    return [Member(n, make_member(dataset, r)) for n, r in zip("abc", rows, strict=True)]


def test_nothing_to_find():
    dataset = make_dataset()
    found = audit([Member("a", make_member(dataset, []))], dataset, FusionSettings())
    assert (found.images_with_silent_members, found.images_changed, found.boxes) == (0, 0, 0)


def test_counts_and_scores():
    dataset = make_dataset()
    found = audit(three_members(dataset), dataset, FusionSettings())
    np.testing.assert_allclose(found.correct.scores, [0.6, 0.6 / 3], atol=1e-6)
    # with the mistake the only member present is the only one counted: .6 instead of .2
    np.testing.assert_allclose(found.mistaken.scores, [0.6, 0.6], atol=1e-6)
    assert (found.images, found.images_with_silent_members, found.images_changed) == (3, 1, 1)
    assert (found.boxes, found.boxes_changed) == (2, 1)
    assert found.largest_score_change == pytest.approx(0.4, abs=1e-6)


def test_a_score_above_1_changes_no_other_image():
    dataset = make_dataset()
    # Weights 3, 1 and two boxes of the first member: 3 * .8 * 2 / 4 = 1.2 on image 10, above 1,
    # so all scores are divided by 1.2. With the mistake image 20 (weights 1): .9, not 3 * .9 / 4.
    twice = [(10, 1, 0.8, *LEFT), (10, 1, 0.8, *LEFT)]
    first = make_member(dataset, [*twice, (20, 1, 0.9, *LEFT), (30, 1, 0.5, *LEFT)])
    second = make_member(dataset, [(10, 1, 0.8, *FAR), (30, 1, 0.5, *LEFT)])
    members = [Member("a", first), Member("b", second)]
    found = audit(members, dataset, FusionSettings(weights=(3, 1)))
    assert (found.images_with_silent_members, found.images_changed) == (1, 1)
    assert (found.boxes, found.boxes_changed) == (4, 1)
    assert found.largest_score_change == pytest.approx((0.9 - 0.675) / 1.2, abs=1e-6)


def test_wrong_weights_become_ones_as_in_the_reference():
    dataset = make_dataset()
    chosen = FusionSettings(weights=(4, 1, 1))
    table = build_table([m.predictions for m in three_members(dataset)], dataset)
    # image 20: rightly .6 * 4 / 6; with the mistake one list and three weights: all set to 1
    np.testing.assert_allclose(fuse_rightly(table, chosen).scores[1], 0.6 * 4 / 6, atol=1e-6)
    np.testing.assert_allclose(fuse_without_silent(table, chosen).scores[1], 0.6, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_right_fusion_is_the_one_that_fuse_writes(seed):
    dataset, predictions = random_table(seed)
    members = [Member(str(n), p) for n, p in enumerate(predictions)]
    expected = fuse_members(members, dataset, FusionSettings()).predictions
    found = audit(members, dataset, FusionSettings()).correct
    for name in ("image_ids", "offsets", "labels", "scores", "boxes_xyxy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_old_files_are_told_apart():
    dataset = make_dataset()
    members = three_members(dataset)
    first = audit(members, dataset, FusionSettings())
    strange = make_member(dataset, [(20, 1, 0.5, *FAR), (20, 1, 0.4, *LEFT)])
    old = [("wrong", first.mistaken), ("right", first.correct), ("strange", strange)]
    found = audit(members, dataset, FusionSettings(), old).old_files
    counts = [(f.name, f.mistaken, f.correct, f.neither) for f in found]
    assert counts == [("wrong", 1, 0, 0), ("right", 0, 1, 0), ("strange", 0, 0, 1)]


def test_changed_boxes_are_those_without_an_equal():
    dataset = make_dataset()
    before = make_member(dataset, [(10, 1, 0.9, *LEFT), (10, 1, 0.5, *FAR)])
    after = make_member(dataset, [(10, 1, 0.9, *LEFT), (10, 7, 0.5, *FAR), (20, 1, 0.1, *FAR)])
    assert changed_boxes(before, after).tolist() == [False, True, True]


def test_the_command_counts_scores_and_writes_json(tmp_path):
    space = Workspace(tmp_path)
    # The truth of image 20 is elsewhere: the mistake lifts its wrong box over image 10's right one.
    truth = [(10, 1, (0, 0, 40, 40)), (20, 1, (10, 60, 20, 20))]
    dataset = space.add_dataset("val.json", truth=truth)
    a = space.add_parquet("a.parquet", dataset, [(10, 1, 0.8, *LEFT), (20, 1, 0.7, *LEFT)])
    b = space.add_parquet("b.parquet", dataset, [(10, 1, 0.4, *LEFT)])
    old = space.add_csv(
        "old.csv",
        {
            "test/0000.jpg": "1 0.6 0 0 40 40 ",
            "test/0001.jpg": "1 0.7 0 0 40 40 ",
            "test/0002.jpg": "",
        },
    )
    words = ["audit", old, "--truth", str(tmp_path / "val.json"), "--members", a, b]
    result = CliRunner().invoke(main, [*words, "--json-out", str(tmp_path / "audit.json")])
    assert result.exit_code == 0, result.output
    assert "1 of 3 images have a silent member" in result.output
    assert "1 images and 1 of 2 boxes change" in result.output
    assert "of 1 affected images 1 have the mistake" in result.output
    # right: the true box (.6) comes before the false one (.35): AP = 1/2. With the mistake the
    # false one (.7) comes first: precision 1/2 at recall 1/2, AP = 1/4.
    assert "right 0.5000, with the mistake 0.2500: it costs +0.2500" in result.output
    counts = json.loads((tmp_path / "audit.json").read_text())
    assert counts["images_changed"] == 1 and counts["competition_map50_mistaken"] == 0.25
    assert counts["old_files"][0]["mistaken"] == 1


def test_members_and_images_are_needed(tmp_path):
    result = CliRunner().invoke(main, ["audit", "old.csv"])
    assert result.exit_code == 2 and "--members" in result.output
    result = CliRunner().invoke(main, ["audit", "--members", "a.parquet"])
    assert result.exit_code == 2 and "give --images or --truth" in result.output
