"""The competition's mAP50: hand-computed cases, `map_boxes` as the oracle, rescoring."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from scoring.metrics.competition import CompetitionMatcher
from tests.builders.scoring_cases import (
    dataset,
    map_boxes_answer,
    perturbed_truth,
    predictions,
    scoring_cases,
)

TENS = [10.0, 10.0, 10.0, 10.0]  # xywh of a truth box
SAME = [10.0, 10.0, 20.0, 20.0]  # the same box as xyxy
AWAY = [60.0, 60.0, 80.0, 80.0]


def map50(truth, rows, **options):
    matcher = CompetitionMatcher.from_predictions(predictions(truth, rows), truth)
    return matcher.mean_average_precision(**options)


def test_no_boxes_score_zero():
    assert map50(dataset(1, [(1, 1, TENS)]), []) == 0.0


def test_perfect_boxes_score_one():
    truth = dataset(2, [(1, 1, TENS), (2, 2, TENS)])
    assert map50(truth, [(1, 1, 0.1, SAME), (2, 2, 0.9, SAME)]) == 1.0


def test_all_point_average_precision_is_the_sum_over_recall_steps():
    truth = dataset(2, [(1, 1, TENS), (2, 1, TENS)])
    rows = [(1, 1, 0.9, SAME), (1, 1, 0.8, AWAY), (2, 1, 0.7, SAME)]
    # Hit, miss, hit: recall steps of 1/2 at precision 1/1 and 2/3.
    assert map50(truth, rows) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3, abs=1e-12)


def test_class_in_the_truth_without_boxes_counts_as_zero_and_absent_class_not_at_all():
    truth = dataset(1, [(1, 1, TENS), (1, 2, TENS)], category_ids=(1, 2, 3))
    # Class 1 is perfect, class 2 is never predicted, class 3 is not in the truth.
    assert map50(truth, [(1, 1, 0.9, SAME), (1, 3, 1.0, AWAY)]) == (1 + 0) / 2


def test_boxes_on_images_without_truth_cost_nothing():
    truth = dataset(2, [(1, 1, TENS)])
    assert map50(truth, [(1, 1, 0.5, SAME), (2, 1, 0.9, SAME)]) == 1.0


def test_box_whose_best_truth_is_taken_is_a_false_positive_even_if_another_truth_is_free():
    # Both boxes overlap truth A best; the second also reaches IoU .5 with truth B (COCO would
    # give it that one).
    truth = dataset(1, [(1, 1, [0.0, 0.0, 10.0, 10.0]), (1, 1, [2.0, 0.0, 10.0, 10.0])])
    rows = [(1, 1, 0.9, [0.0, 0.0, 10.0, 10.0]), (1, 1, 0.8, [0.5, 0.0, 10.5, 10.0])]
    # Hit, miss, and recall never passes 1/2.
    assert map50(truth, rows) == 0.5


def test_rows_take_truths_in_file_order_not_by_score():
    truth = dataset(1, [(1, 1, TENS)])
    weak_first = [(1, 1, 0.2, SAME), (1, 1, 0.9, SAME)]
    # The weak row takes the truth; the strong one is a miss ranked before it: precision 1/2.
    assert map50(truth, weak_first) == 0.5
    assert map50(truth, weak_first[::-1]) == 1.0
    assert map50(truth, weak_first, claim_by="score") == 1.0


def test_iou_of_exactly_one_half_is_a_hit():
    truth = dataset(1, [(1, 1, [0.0, 0.0, 10.0, 10.0])])
    assert map50(truth, [(1, 1, 0.9, [0.0, 0.0, 10.0, 5.0])]) == 1.0
    assert map50(truth, [(1, 1, 0.9, [0.0, 0.0, 10.0, 4.99])]) == 0.0


def test_predictions_of_other_images_are_refused():
    truth = dataset(2, [(1, 1, TENS)])
    other = predictions(dataset(1, [(1, 1, TENS)]), [(1, 1, 0.5, SAME)])
    with pytest.raises(UserError, match="1 images of the truth were not predicted \\(2\\)"):
        CompetitionMatcher.from_predictions(other, truth)


def test_truth_without_annotations_is_refused():
    truth = dataset(1)
    with pytest.raises(UserError, match="no annotations"):
        CompetitionMatcher.from_predictions(predictions(truth), truth)


@settings(max_examples=300, deadline=None)
@given(scoring_cases())
def test_equals_map_boxes(case):
    truth, table = case
    expected, per_class = map_boxes_answer(truth, table)
    matcher = CompetitionMatcher.from_predictions(table, truth)
    assert matcher.mean_average_precision() == pytest.approx(expected, abs=1e-9)
    for category_id, value in zip(truth.category_ids, matcher.average_precision(), strict=True):
        if str(category_id) in per_class:
            assert value == pytest.approx(per_class[str(category_id)][0], abs=1e-9)
        else:
            assert np.isnan(value)


@settings(max_examples=100, deadline=None)
@given(scoring_cases())
def test_any_order_of_ties_stays_in_the_tie_range(case):
    truth, table = case
    matcher = CompetitionMatcher.from_predictions(table, truth)
    low, high = matcher.tie_range()
    assert low - 1e-12 <= matcher.mean_average_precision() <= high + 1e-12


@settings(max_examples=100, deadline=None)
@given(scoring_cases())
def test_rescoring_equals_matching_the_rescored_table_anew(case):
    truth, table = case
    matcher = CompetitionMatcher.from_predictions(table, truth)
    generator = np.random.default_rng(len(table))
    new_scores = generator.permutation(len(table)).astype(np.float32) / max(len(table), 1)
    keep = generator.random(len(table)) < 0.7
    rows = [
        (image, label, score, box)
        for image, label, score, box, kept in zip(
            table.image_id_of_row.tolist(), table.labels.tolist(), new_scores.tolist(),
            table.boxes_xyxy.tolist(), keep, strict=True,
        )
        if kept
    ]  # fmt: skip
    in_file_order = map50(truth, rows)
    rewritten = map50(truth, sorted(rows, key=lambda row: -row[2]))
    options = {"scores": new_scores[matcher.rows], "keep": keep[matcher.rows]}
    assert matcher.mean_average_precision(**options) == pytest.approx(in_file_order, abs=1e-12)
    by_score = matcher.mean_average_precision(**options, claim_by="score")
    assert by_score == pytest.approx(rewritten, abs=1e-12)


def test_bootstrap_counts_an_image_drawn_twice_as_two_images():
    truth = dataset(3, [(1, 1, TENS), (2, 1, TENS), (3, 2, TENS), (1, 2, [50.0, 50.0, 9.0, 9.0])])
    rows = [(1, 1, 0.9, SAME), (2, 1, 0.8, AWAY), (2, 1, 0.7, SAME), (3, 2, 0.6, SAME)]
    matcher = CompetitionMatcher.from_predictions(predictions(truth, rows), truth)
    drawn = [1, 2, 2]  # image 3 is not drawn: class 2 keeps the truth of image 1 alone
    copies = dataset(
        3,
        [(new, label, bbox) for new, old in enumerate(drawn, 1)
         for image, label, bbox in [(1, 1, TENS), (2, 1, TENS), (1, 2, [50.0, 50.0, 9.0, 9.0])]
         if image == old],
    )  # fmt: skip
    copied_rows = [
        (new, *row[1:]) for new, old in enumerate(drawn, 1) for row in rows if row[0] == old
    ]
    value = np.nanmean(matcher.average_precision_on(np.array([[1, 2, 0]])))
    # Class 1: hit, two misses, two hits; class 2 misses its one truth.
    expected = (1 / 3 * 1 + 2 / 3 * 3 / 5 + 0) / 2
    assert value == pytest.approx(expected, abs=1e-12)
    assert value == pytest.approx(map50(copies, copied_rows), abs=1e-12)


def test_every_image_once_is_the_score_itself():
    truth = dataset(3, [(1, 1, TENS), (2, 1, TENS), (3, 2, TENS)])
    rows = [(1, 1, 0.9, SAME), (2, 1, 0.8, AWAY), (3, 2, 0.6, SAME)]
    matcher = CompetitionMatcher.from_predictions(predictions(truth, rows), truth)
    once = matcher.average_precision_on(np.ones((1, 3), dtype=np.int64))
    np.testing.assert_array_equal(once[0], matcher.average_precision())


@pytest.mark.real_data
def test_equals_map_boxes_on_the_real_validation_fold(real_data):
    ids = json.loads((real_data / "valid3_image_ids.json").read_text())
    truth = read_coco(real_data / "recycle_train.json.gz").subset(ids)
    table = perturbed_truth(truth, copies=6, seed=0)
    expected, _ = map_boxes_answer(truth, table)
    matcher = CompetitionMatcher.from_predictions(table, truth)
    assert matcher.mean_average_precision() == pytest.approx(expected, abs=1e-9)
