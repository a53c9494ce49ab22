"""What is wrong with a member's file is said by every command that reads it."""

from __future__ import annotations

import json

from click.testing import CliRunner

from ensemble.cli import main
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
