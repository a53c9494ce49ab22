"""Precision and recall at every score, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import precision_recall_curve

from scoring.curves import best_thresholds, class_curves
from scoring.metrics.competition import CompetitionMatcher
from tests.builders.scoring_cases import dataset, predictions, scoring_cases
from tests.builders.two_images import DOUBLE, HIT, WRONG_CLASS, boxes_of, two_images


def test_a_class_without_boxes_or_truth_has_no_points():
    truth = dataset(1, [(1, 1, [0.0, 0.0, 9.0, 9.0])])
    matcher = CompetitionMatcher.from_predictions(predictions(truth), truth)
    assert [len(curve.scores) for curve in class_curves(matcher)] == [0, 0]
    assert best_thresholds(class_curves(matcher)) == {"class_1": None, "class_2": None}


def test_precision_and_recall_at_every_score():
    truth = two_images()
    boxes = boxes_of(truth, [HIT, DOUBLE, WRONG_CLASS])
    five, nine = class_curves(CompetitionMatcher.from_predictions(boxes, truth))
    # In descending score: hit, miss, miss; one truth of class 5.
    np.testing.assert_allclose(five.scores, [0.9, 0.8, 0.7], atol=1e-6)
    assert five.precision.tolist() == [1, 1 / 2, 1 / 3]
    assert five.recall.tolist() == [1, 1, 1]
    assert len(nine.scores) == 0


@settings(max_examples=50, deadline=None)
@given(scoring_cases())
def test_precision_is_scikit_learns(case):
    truth, table = case
    matcher = CompetitionMatcher.from_predictions(table, truth)
    hits, offsets = matcher.true_positives(), matcher.class_offsets
    for index, curve in enumerate(class_curves(matcher)):
        rows = slice(offsets[index], offsets[index + 1])
        if hits[rows].any():
            precision, _, thresholds = precision_recall_curve(hits[rows], matcher.scores[rows])
            np.testing.assert_array_equal(curve.scores, thresholds[::-1])
            np.testing.assert_allclose(curve.precision, precision[:-1][::-1], rtol=1e-12)


def test_best_threshold_is_where_f1_peaks():
    truth = dataset(3, [(1, 1, [0.0, 0.0, 9.0, 9.0]), (2, 1, [0.0, 0.0, 9.0, 9.0])])
    there, away = [0.0, 0.0, 9.0, 9.0], [30.0, 30.0, 40.0, 40.0]
    rows = [(1, 1, 0.9, there), (1, 1, 0.8, away), (2, 1, 0.7, there), (2, 1, 0.6, away)]
    matcher = CompetitionMatcher.from_predictions(predictions(truth, rows), truth)
    best = best_thresholds(class_curves(matcher))
    # F1 is 2/3 (P 1, R 1/2), 1/2, 4/5 (P 2/3, R 1), 2/3.
    assert best["class_1"]["f1"] == pytest.approx(4 / 5)
    assert best["class_1"]["threshold"] == pytest.approx(0.7)
    assert best["class_2"] is None
