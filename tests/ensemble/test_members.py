"""What is wrong with a member's file is said by every command that reads it."""

from __future__ import annotations

import json

from click.testing import CliRunner

from ensemble.cli import main
from tests.builders.misread_boxes import write_misread_files
from tests.builders.rising_scores import RISING_NOTE, write_rising_files


def test_rising_scores_of_a_member_are_noted_on_stderr_and_in_json(tmp_path):
    path, truth, images = write_rising_files(tmp_path)
    old = tmp_path / "old.csv"
    old.write_bytes(path.read_bytes())
    fuse = ["fuse", path, "--out", tmp_path / "fused.parquet", "--images"]
    without_truth = (
        "on 1 of 1 images boxes of a class are not in descending order of score (rising "
        "throughout on 1): no matter in a fusion, but the file by itself can lose points (`submit "
        "write` and `data_tools convert --sort-scores` order it)"
    )
    audit = ["audit", old, "--truth", truth, "--members", path]
    for words, file, note in (
        ([*fuse, truth], path, RISING_NOTE),
        ([*fuse, images], path, without_truth),
        (audit, path, RISING_NOTE),
        (audit, old, RISING_NOTE),
    ):
        result = CliRunner().invoke(main, [*map(str, words), "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert f"note: {file}: {note}" in result.stderr
        assert f"{file}: {note}" in json.loads(result.stdout)["notes"]


def test_misread_boxes_of_a_member_are_refused_with_their_cost_where_there_is_truth(tmp_path):
    truth = write_misread_files(tmp_path)
    member, out = tmp_path / "sides.csv", tmp_path / "fused.parquet"
    for images, is_scored in ((truth, True), (tmp_path / "test.json", False)):
        words = ["fuse", member, "--images", images, "--out", out]
        result = CliRunner().invoke(main, [*map(str, words)])
        assert result.exit_code == 2, result.output
        assert "20 fit as [xmin, ymin, width, height]" in result.stderr
        assert ("competition_map50 is 0.0000 as filed" in result.stderr) == is_scored
        assert f"where:    {member}" in result.stderr
        assert not out.exists()


def test_a_member_without_its_weak_boxes_is_noted(tmp_path):
    _, _, images = write_rising_files(tmp_path)
    boxes = " ".join(f"1 {1 - k / 200:g} 0 0 {k + 1} 9" for k in range(100))  # down to .505
    (tmp_path / "cut.csv").write_text(f"PredictionString,image_id\n{boxes},test/0001.jpg\n")
    words = ["fuse", tmp_path / "cut.csv", "--images", images, "--out", tmp_path / "fused.parquet"]
    result = CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)
    assert result.stderr.splitlines()[-1] == (
        f"note: {tmp_path}/cut.csv: no box is scored below 0.505, and many lie just above it: "
        "weaker boxes seem to have been left out; what they would have found is lost to the "
        "fusion: predict with a threshold of 0.001 to 0.05"
    )
