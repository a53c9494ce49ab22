"""The diagnosis, each part against a case worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import write_coco
from data_tools.predictions.files import write_predictions
from scoring.diagnosis import (
    calibration,
    confusion_matrix,
    diagnose,
    error_split,
)
from submit.cli import main
from tests.builders.scoring_cases import dataset, predictions

# Three images; class 7 stands before class 3 in the file, so the order of ids is not the file's.
TRUTH = [
    (1, 7, [0.0, 0.0, 10.0, 10.0]),
    (1, 3, [50.0, 50.0, 10.0, 10.0]),
    (2, 7, [0.0, 0.0, 10.0, 10.0]),
    (3, 3, [20.0, 20.0, 10.0, 10.0]),
]
ROWS = [
    (1, 7, 0.9, [0.0, 0.0, 10.0, 10.0]),  # right
    (1, 7, 0.8, [50.0, 50.0, 60.0, 60.0]),  # right place, class 3 taken for class 7
    (1, 7, 0.6, [0.0, 0.0, 10.0, 9.0]),  # the first truth again
    (2, 7, 0.7, [4.0, 0.0, 14.0, 10.0]),  # IoU 60 / 140 = .43: badly placed
    (3, 7, 0.4, [80.0, 80.0, 90.0, 90.0]),  # nothing there
    # The truth of class 3 on image 3 is missed.
]


@pytest.fixture
def truth():
    return dataset(3, TRUTH, category_ids=(7, 3))


@pytest.fixture
def table(truth):
    return predictions(truth, ROWS)


def test_confusion_matrix_counts_pairs_missed_truth_and_boxes_on_nothing(truth, table):
    found = confusion_matrix(table, truth, score_threshold=0.0)
    assert found["labels"] == ["class_7", "class_3", "background"]
    # Truth of class 7: one right, one unpaired. Of class 3: one taken for 7, one unpaired.
    # Boxes on nothing: the repeated, the badly placed and the invented one.
    np.testing.assert_array_equal(found["matrix"], [[1, 0, 1], [1, 0, 1], [3, 0, 0]])


def test_confusion_matrix_leaves_weak_boxes_out(truth, table):
    found = confusion_matrix(table, truth, score_threshold=0.65)
    np.testing.assert_array_equal(found["matrix"], [[1, 0, 1], [1, 0, 1], [1, 0, 0]])


def test_error_split_names_each_error(truth, table):
    counts = error_split(table, truth)["counts"]
    assert counts == {"Cls": 1, "Loc": 1, "Both": 0, "Dupe": 1, "Bkg": 1, "Miss": 1}


def test_error_split_says_what_fixing_wins(truth, table):
    found = error_split(table, truth)
    # Class 7: a hit, then misses, recall 1/2 at precision 1: 51 of 101 recall points. Class 3: 0.
    assert found["ap50"] == pytest.approx((51 / 101 + 0) / 2)
    # Mended, the badly placed box is a hit after hit, miss: precision 2/3 at the other 50 points.
    assert found["ap50_gain"]["Loc"] == pytest.approx(50 / 101 * 2 / 3 / 2)


def test_calibration_compares_scores_with_hits(truth, table):
    found = calibration(table, truth, bins=2)
    low, high = found["bins"]
    assert (low["boxes"], high["boxes"]) == (1, 4)
    assert low["hit_share"] == 0.0
    assert high["hit_share"] == pytest.approx(1 / 4)
    assert high["mean_score"] == pytest.approx((0.9 + 0.8 + 0.6 + 0.7) / 4)
    gaps = [0.4 - 0, 0.75 - 0.25]
    assert found["expected_error"] == pytest.approx(gaps[0] * 1 / 5 + gaps[1] * 4 / 5)
    assert found["worst_error"] == pytest.approx(0.5)


def test_diagnosis_of_no_boxes_misses_everything(truth):
    found = diagnose(predictions(truth), truth)
    np.testing.assert_array_equal(found["confusion"]["matrix"], [[0, 0, 2], [0, 0, 2], [0, 0, 0]])
    assert found["errors"]["counts"]["Miss"] == 4
    assert found["thresholds"] == {"class_7": None, "class_3": None}
    assert found["calibration"]["expected_error"] == 0.0


def test_command_prints_and_writes_everything(truth, table, tmp_path):
    write_coco(tmp_path / "truth.json", truth)
    write_predictions(tmp_path / "boxes.parquet", table)
    out = tmp_path / "diagnosis.json"
    arguments = ["diagnose", str(tmp_path / "boxes.parquet"), "--truth",
                 str(tmp_path / "truth.json"), "--json-out", str(out)]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "Dupe" in result.output
    assert "class_3 -> class_7" in result.output
    assert json.loads(out.read_text())["confusion"]["matrix"][0] == [1, 0, 1]
