"""What mistakes of writing cost, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scoring.metrics.competition import CompetitionMatcher
from scoring.mistake_costs import as_filed_boxes, mean_recall, mistake_costs
from scoring.score import score
from tests.builders.rising_scores import RISING, RISING_NOTE, TRUTH
from tests.builders.scoring_cases import dataset, predictions


def test_files_without_boxes_and_files_in_order_cost_nothing():
    assert mistake_costs(predictions(TRUTH), TRUTH) == []
    assert mistake_costs(predictions(TRUTH, RISING[::-1]), TRUTH) == []
    assert score(predictions(TRUTH, RISING[::-1]), TRUTH)["mistakes"] == []


def test_rising_scores_cost_what_the_file_in_order_scores_more():
    rising = predictions(TRUTH, RISING)
    (cost,) = mistake_costs(rising, TRUTH)
    assert cost == {
        "mistake": "score_order",
        "competition_map50": pytest.approx(0.25),
        "in_descending_order": pytest.approx(0.5),
        "note": RISING_NOTE,
    }
    result = score(rising, TRUTH)
    assert result["competition_map50"] == cost["competition_map50"]
    ordered = score(rising.sorted_by_score(), TRUTH)
    assert ordered["competition_map50"] == cost["in_descending_order"]
    assert (result["mistakes"], result["notes"]) == ([cost], [RISING_NOTE])


def test_a_cut_says_how_much_truth_no_box_finds():
    # Class 1: one of two truths found. Class 2: none of one. Mean recall 1/4.
    truth = dataset(1, [(1, 1, [0, 0, 10, 10]), (1, 1, [50, 50, 9, 9]), (1, 2, [80, 80, 9, 9])])
    rows = [(1, 1, value, [0, 0, 10, 10]) for value in np.linspace(1, 0.25, 100)]
    boxes = predictions(truth, rows)
    assert mean_recall(CompetitionMatcher.from_predictions(boxes, truth)) == 0.25
    (cost,) = mistake_costs(boxes, truth)
    assert cost == {
        "mistake": "score_cut",
        "lowest_score": 0.25,
        "recall": 0.25,
        "note": "no box is scored below 0.25, and many lie just above it: weaker boxes seem to "
        "have been left out; 75.0% of the truth (mean over classes) is found by no box, so "
        "competition_map50 cannot pass 0.2500: predict with a threshold of 0.001 to 0.05",
    }


def test_boxes_as_filed_are_those_of_the_numbers_with_nothing_inside_out():
    truth = dataset(1)
    read = predictions(truth, [(1, 1, 0.9, [30, 30, 70, 40])])
    sides = replace(read, stated_sides_wh=np.array([[40.0, 10.0]]))  # filed as corners 40, 10
    assert as_filed_boxes(sides).boxes_xyxy.tolist() == [[30, 30, 40, 30]]
    assert as_filed_boxes(read).boxes_xyxy.tolist() == [[30, 30, 100, 70]]  # as sides 70, 40
