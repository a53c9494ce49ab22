"""COCO's averages: hand-computed cases and pycocotools as the oracle."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

from data_tools.coco.dataset import read_coco
from scoring.metrics.coco import CocoMatcher, summarize
from tests.builders.scoring_cases import (
    dataset,
    perturbed_truth,
    predictions,
    pycocotools_answer,
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
