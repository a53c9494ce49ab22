"""What is wrong with a file is said in the same note by every command."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import write_coco
from submit.cli import main
from tests.builders.misread_boxes import write_misread_files
from tests.builders.rising_scores import RISING_NOTE, write_rising_files
from tests.builders.scoring_cases import dataset

NOTE = "1 images have no row in the file; they are scored as images without boxes"


def said(tmp_path, command, header, name, *options):
    truth = dataset(2, [(1, 1, [10, 10, 10, 10]), (2, 1, [10, 10, 10, 10])])
    write_coco(tmp_path / "truth.json", truth)
    path = tmp_path / "short.csv"
    path.write_text(f"{header}\n{name}\n")
    words = [command, str(path), "--truth", str(tmp_path / "truth.json"), *options]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_score_table_and_diagnose_say_that_images_are_missing(tmp_path):
    row = "1 0.9 10 10 20 20,test/0001.jpg"
    for command in ("score", "table", "diagnose"):
        assert NOTE in said(tmp_path, command, "PredictionString,image_id", row), command


def test_score_table_diagnose_and_plan_read_a_named_format(tmp_path):
    row = "0001,1 0.9 10 10 20 20"
    for command in ("score", "table", "diagnose", "plan"):
        said(tmp_path, command, "ImageId,PredictionString", row, "--format", "kaggle")


def test_score_table_and_diagnose_say_what_rising_scores_cost(tmp_path):
    path, truth, _ = write_rising_files(tmp_path)
    for command in ("score", "table", "diagnose"):
        words = [command, str(path), "--truth", str(truth)]
        assert RISING_NOTE in CliRunner().invoke(main, words).stdout, command
    for command in ("score", "diagnose"):
        words = [command, str(path), "--truth", str(truth), "--json"]
        found = json.loads(CliRunner().invoke(main, words).stdout)
        assert found["mistakes"][0]["in_descending_order"] == pytest.approx(0.5), command
        assert RISING_NOTE in found["notes"], command


def test_misread_boxes_are_refused_with_what_they_score_either_way(tmp_path):
    # Read otherwise, box 0 is the first truth. Boxes 1 to 6 overlap it enough, boxes 7 to 12 none
    # (a shift by 6 leaves 34 * 24 = 816 of 1200, IoU .515; one by 7 leaves 759, IoU .462), and box
    # 13 is first to find the other: AP = 1/2 * 1 + 1/2 * 2/14.
    truth = write_misread_files(tmp_path)
    for command in ("score", "table", "diagnose", "plan"):
        words = [command, str(tmp_path / "sides.csv"), "--truth", str(truth)]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith(
            "Error: 20 of 20 boxes have no area or lie partly outside their image as [xmin, ymin, "
            "xmax, ymax], and 20 fit as [xmin, ymin, width, height]: competition_map50 is 0.0000 "
            "as filed, 0.5714 read so\n"
        ), command
