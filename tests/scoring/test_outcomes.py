"""Hits, misses and the threshold of best F1, by hand."""

from __future__ import annotations

import pytest

from scoring.metrics.competition import CompetitionMatcher
from scoring.outcomes import best_f1_threshold, errors_of_images, outcomes, scores_that_found
from tests.builders.two_images import DOUBLE, HIT, NOWHERE, WRONG_CLASS, boxes_of, two_images


def matched(rows):
    truth = two_images()
    predictions = boxes_of(truth, rows)
    return predictions, CompetitionMatcher.from_predictions(predictions, truth)


def test_no_boxes():
    nothing = matched([])
    assert outcomes(*nothing, 0.0).truth_found.tolist() == [False, False]
    assert errors_of_images(*nothing, 0.5).tolist() == [[2, 0], [0, 0]]
    assert best_f1_threshold(*nothing) == 0.5
    assert scores_that_found(nothing[1]).tolist() == [-1, -1]


def test_outcomes_above_a_threshold():
    boxes = matched([HIT, DOUBLE, WRONG_CLASS, NOWHERE])
    result = outcomes(*boxes, 0.65)
    assert result.kept.tolist() == [True, True, True, False]
    assert result.hit.tolist() == [True, False, False, False]
    assert result.truth_found.tolist() == [True, False]
    # Image 1: the second truth is missed; the double and the wrong class are false.
    assert errors_of_images(*boxes, 0.65).tolist() == [[1, 2], [0, 0]]
    assert errors_of_images(*boxes, 0.0).tolist() == [[1, 2], [0, 1]]
    assert scores_that_found(boxes[1]).tolist() == [pytest.approx(0.9), -1]


def test_best_f1_threshold_by_hand():
    # Of 2 truths: at .9 F1 = 2*1/(1+2) = .667; at .8 2*1/(2+2) = .5; lower ones fall further.
    assert best_f1_threshold(*matched([HIT, DOUBLE, WRONG_CLASS, NOWHERE])) == pytest.approx(0.9)


def test_equal_scores_cannot_be_separated():
    # Both boxes have score .9: the threshold keeps both or none, F1 = 2*1/(2+2) = .5.
    rows = [(1, 5, 0.9, (0, 0, 10, 10)), (1, 5, 0.9, (80, 80, 90, 90)), (1, 9, 0.5, HIT[3])]
    assert best_f1_threshold(*matched(rows)) == pytest.approx(0.9)
