"""COCO's averages: hand-computed cases and pycocotools as the oracle."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

from data_tools.coco.dataset import read_coco
from data_tools.predictions.files import read_predictions, write_predictions
from scoring.metrics.coco import CocoMatcher, summarize
from tests.builders.scoring_cases import (
    dataset,
    perturbed_truth,
    predictions,
    pycocotools_answer,
    pycocotools_stats,
    results_on_the_brink,
    scoring_cases,
)

TENS = [10.0, 10.0, 10.0, 10.0]
SAME = [10.0, 10.0, 20.0, 20.0]
AWAY = [60.0, 60.0, 80.0, 80.0]
KEYS = ("map", "map50", "map75", "map_small", "map_medium", "map_large")


def coco(truth, rows, **options):
    matcher = CocoMatcher.from_predictions(predictions(truth, rows), truth, **options)
    return summarize(matcher.average_precision())


def assert_same(truth, table, **options):
    expected, precision = pycocotools_answer(truth, table, **options)
    matcher = CocoMatcher.from_predictions(table, truth, **options)
    values = matcher.average_precision()
    for key, wanted in zip(KEYS, expected, strict=True):
        found = summarize(values)[key]
        assert (-1.0 if found is None else found) == pytest.approx(wanted, abs=1e-9), key
    per_class = precision.mean(axis=1).transpose(2, 0, 1)  # (A, T, K by ascending category id)
    by_category_id = values[:, :, np.argsort(truth.category_ids)]
    np.testing.assert_allclose(np.nan_to_num(by_category_id, nan=-1), per_class, atol=1e-9)


def test_no_boxes_score_zero_and_sizes_without_truth_have_no_score():
    summary = coco(dataset(1, [(1, 1, TENS)]), [])
    assert summary["map"] == summary["map_small"] == 0.0
    assert summary["map_medium"] is None
    assert summary["map_large"] is None


def test_perfect_boxes_score_one():
    assert coco(dataset(1, [(1, 1, TENS)]), [(1, 1, 0.5, SAME)])["map"] == pytest.approx(1)


def test_recall_is_sampled_at_101_points():
    truth = dataset(2, [(1, 1, TENS), (2, 1, TENS)])
    rows = [(1, 1, 0.9, SAME), (1, 1, 0.8, AWAY), (2, 1, 0.7, SAME)]
    # Precision 1 at the 51 points up to recall .5, 2/3 at the other 50.
    assert coco(truth, rows)["map50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101, abs=1e-12)


def test_box_whose_best_truth_is_taken_gets_the_next_best():
    truth = dataset(1, [(1, 1, [0.0, 0.0, 10.0, 10.0]), (1, 1, [2.0, 0.0, 10.0, 10.0])])
    rows = [(1, 1, 0.9, [0.0, 0.0, 10.0, 10.0]), (1, 1, 0.8, [0.5, 0.0, 10.5, 10.0])]
    assert coco(truth, rows)["map50"] == pytest.approx(1)


def test_crowds_are_neither_found_nor_missed():
    truth = dataset(1, [(1, 1, TENS), (1, 1, [50.0, 50.0, 40.0, 40.0])], crowds=(1,))
    rows = [(1, 1, 0.9, AWAY), (1, 1, 0.8, [55.0, 55.0, 65.0, 65.0]), (1, 1, 0.7, SAME)]
    assert coco(truth, rows)["map50"] == pytest.approx(1)


def test_only_the_best_boxes_of_a_class_and_image_count():
    truth = dataset(1, [(1, 1, TENS)])
    rows = [(1, 1, 0.9, AWAY), (1, 1, 0.8, SAME)]
    assert coco(truth, rows, max_detections=1)["map50"] == 0.0
    matcher = CocoMatcher.from_predictions(predictions(truth, rows), truth, max_detections=1)
    assert matcher.capped_boxes == 1


def test_box_on_an_image_without_truth_is_a_miss_unlike_in_the_competition():
    truth = dataset(2, [(1, 1, TENS)])
    # Ranked first, it halves the precision everywhere.
    assert coco(truth, [(1, 1, 0.5, SAME), (2, 1, 0.9, SAME)])["map50"] == pytest.approx(0.5)


def test_annotation_id_zero_is_lost_as_in_pycocotools():
    truth = dataset(1, [(1, 1, TENS)], first_annotation_id=0)
    table = predictions(truth, [(1, 1, 0.9, SAME)])
    assert_same(truth, table)
    assert coco(truth, [(1, 1, 0.9, SAME)])["map50"] == 0.0


@settings(max_examples=150, deadline=None)
@given(scoring_cases())
def test_equals_pycocotools(case):
    assert_same(*case)


@settings(max_examples=40, deadline=None)
@given(scoring_cases())
def test_equals_pycocotools_under_a_cap(case):
    assert_same(*case, max_detections=3)


@settings(max_examples=40, deadline=None)
@given(scoring_cases(crowds=False))
def test_weights_of_images_act_as_copies_of_them(case):
    truth, table = case
    matcher = CocoMatcher.from_predictions(table, truth)
    ones = np.ones((1, len(truth.images)), dtype=np.int64)
    plain = matcher.average_precision()
    np.testing.assert_array_equal(matcher.average_precision_on(ones)[0], plain)
    # Every image three times is the same sample of images: nothing changes.
    three_times = matcher.average_precision_on(3 * ones)[0]
    np.testing.assert_allclose(three_times, plain, rtol=0, atol=1e-12)


@pytest.mark.real_data
def test_equals_pycocotools_on_the_real_validation_fold(real_data):
    ids = json.loads((real_data / "valid3_image_ids.json").read_text())
    truth = read_coco(real_data / "recycle_train.json.gz").subset(ids)
    assert_same(truth, perturbed_truth(truth, copies=3, seed=0))


def on_file(truth, path):
    matcher = CocoMatcher.from_predictions(read_predictions(path, truth), truth)
    found = summarize(matcher.average_precision())
    return [-1.0 if found[key] is None else found[key] for key in KEYS]


def test_box_at_exactly_half_the_truth_is_found_though_no_float32_holds_its_corner(tmp_path):
    # 1683.1 is no float32: rounded to one, the box would reach from 1683.0999756 to 1686.3, and
    # the truth, read exactly, from 1683.1: less than half of it.
    truth = dataset(1, [(1, 1, [978.5, 1683.1, 49.5, 3.2])], size_wh=(2000, 2000))
    row = {"image_id": 1, "category_id": 1, "bbox": [978.5, 1683.1, 24.75, 3.2], "score": 0.9}
    (tmp_path / "found.json").write_text(json.dumps([row]))
    assert on_file(truth, tmp_path / "found.json")[1] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_equals_pycocotools_on_results_of_few_decimals(digits, tmp_path):
    path = tmp_path / "found.json"
    for seed in range(20):
        truth, results = results_on_the_brink(np.random.default_rng(seed), digits)
        path.write_text(json.dumps(results))
        wanted = pycocotools_stats(truth, results)
        assert on_file(truth, path) == pytest.approx(wanted, rel=0, abs=1e-12), seed


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_equals_pycocotools_on_a_csv_of_few_decimals(digits, tmp_path):
    path = tmp_path / "found.csv"
    for seed in range(20):
        truth, results = results_on_the_brink(np.random.default_rng(seed), digits)
        lines: dict[str, str] = dict.fromkeys(truth.file_names, "")
        for row in results:
            x, y, width, height = row["bbox"]
            corners = [x, y, round(x + width, digits), round(y + height, digits)]
            # What a team hands to pycocotools: the text's corners, subtracted.
            row["bbox"] = [*corners[:2], corners[2] - x, corners[3] - y]
            name = truth.images[row["image_id"] - 1]["file_name"]
            numbers = (row["category_id"], row["score"], *corners)
            lines[name] += "".join(f"{number} " for number in numbers)
        text = "".join(f"{string},{name}\n" for name, string in lines.items())
        path.write_text(f"PredictionString,image_id\n{text}")
        ordered = sorted(results, key=lambda row: row["image_id"])
        wanted = pycocotools_stats(truth, ordered)
        assert on_file(truth, path) == pytest.approx(wanted, rel=0, abs=1e-12), seed


def test_parquet_of_a_float64_table_scores_as_the_table(tmp_path):
    truth, results = results_on_the_brink(np.random.default_rng(0), 2)
    (tmp_path / "found.json").write_text(json.dumps(results))
    table = read_predictions(tmp_path / "found.json", truth)
    write_predictions(tmp_path / "found.parquet", table)
    again = read_predictions(tmp_path / "found.parquet", truth)
    assert again.scores.dtype == again.boxes_xyxy.dtype == np.float64
    wanted = table.sorted_by_score()
    np.testing.assert_array_equal(again.boxes_xyxy, wanted.boxes_xyxy)
    np.testing.assert_array_equal(again.sides_wh, wanted.sides_wh)
