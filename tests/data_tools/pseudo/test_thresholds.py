"""Thresholds for pseudo-labels: given, by density, and for a precision on out-of-fold boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.coco.dataset import coco_from_dict
from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import predictions_from_rows
from data_tools.pseudo.thresholds import (
    density_thresholds,
    given_thresholds,
    lowest_threshold,
    match_to_truth,
    precision_thresholds,
)
from tests.builders.coco_cases import box, coco_dict, image, random_coco

TRUTH = coco_from_dict(
    coco_dict(
        [image(1), image(2)],
        [
            box(0, 1, 3, [0, 0, 10, 10]),
            box(1, 1, 7, [50, 50, 20, 20]),
            {**box(2, 2, 3, [0, 0, 40, 40]), "iscrowd": 1},
        ],
    )
)


def predicted(rows: list[tuple], dataset=TRUTH, **kwargs):
    """Rows of (image id, label, score, xmin, ymin, xmax, ymax)."""
    values = np.array(rows, np.float64).reshape(-1, 7)
    return predictions_from_rows(
        dataset.image_ids, values[:, 0], values[:, 1], values[:, 2], values[:, 3:], **kwargs
    )


def test_no_boxes_reach_no_precision():
    assert lowest_threshold(np.array([]), np.array([], bool), 0.5) == float("inf")
    assert match_to_truth(predicted([]), TRUTH).tolist() == []
    assert given_thresholds(TRUTH, 0.5, {}).keep(predicted([])).tolist() == []
    assert density_thresholds(predicted([]), TRUTH).of_category[3] == float("inf")


def test_precision_by_hand():
    # Falling scores:      .9    .8     .7    .6     .5
    # correct:             yes   no     yes   yes    no
    # precision so far:    1/1   1/2    2/3   3/4    3/5
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    correct = np.array([True, False, True, True, False])
    assert lowest_threshold(scores, correct, 1.0) == 0.9
    assert lowest_threshold(scores, correct, 0.75) == 0.6
    assert lowest_threshold(scores, correct, 0.6) == 0.5
    assert lowest_threshold(scores, ~correct, 0.75) == float("inf")


def test_equal_scores_are_kept_or_dropped_together():
    # Three boxes share .8 and one of them is wrong: a threshold of .8 keeps all three, 2/3.
    scores, correct = np.array([0.8, 0.8, 0.8]), np.array([True, True, False])
    assert lowest_threshold(scores, correct, 0.9) == float("inf")
    assert lowest_threshold(scores, correct, 2 / 3) == 0.8


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=30), st.floats(0.05, 1.0))
def test_the_threshold_is_the_lowest_that_reaches_the_precision(pairs, target):
    scores = np.array([score / 8 for score, _ in pairs])
    correct = np.array([flag for _, flag in pairs], bool)
    reached = [t for t in sorted(set(scores)) if correct[scores >= t].mean() >= target]
    assert lowest_threshold(scores, correct, target) == (reached[0] if reached else float("inf"))


def test_matching_needs_class_overlap_and_a_free_truth():
    rows = [
        (1, 3, 0.9, 0, 0, 10, 10),  # the can itself
        (1, 3, 0.8, 0, 0, 10, 9),  # the can again: taken
        (1, 3, 0.7, 50, 50, 70, 70),  # a can where the bag is
        (1, 7, 0.6, 50, 50, 70, 60),  # half of the bag: IoU is exactly .5
        (1, 7, 0.5, 50, 50, 70, 59),  # less than half, and the bag is taken
        (2, 3, 0.4, 0, 0, 40, 40),  # a crowd region is no truth
    ]
    assert match_to_truth(predicted(rows), TRUTH).tolist() == [1, 0, 0, 1, 0, 0]


def test_matching_goes_by_score_even_in_file_order():
    rows = [(1, 3, 0.2, 0, 0, 10, 10), (1, 3, 0.9, 0, 0, 10, 9)]
    in_file_order = predicted(rows, row_order="file")
    assert match_to_truth(in_file_order, TRUTH).tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_matching_agrees_with_a_slow_reference(seed):
    rng = np.random.default_rng(seed)
    truth = random_coco(rng, 4, classes=2)
    rows = []
    for image_id in truth.image_ids.tolist():
        for _ in range(int(rng.integers(0, 8))):
            left, top = rng.uniform(0, 50, 2)
            size = rng.uniform(5, 40, 2)
            label = int(rng.integers(2)) * 10
            rows.append((image_id, label, rng.random(), left, top, left + size[0], top + size[1]))
    found = predicted(rows, truth)
    expected = np.zeros(len(found), bool)
    taken = set()
    for row in np.argsort(-found.scores, kind="stable").tolist():
        best, best_iou = None, 0.5
        for k, one in enumerate(truth.annotations):
            same = one["image_id"] == found.image_id_of_row[row]
            if not same or one["category_id"] != found.labels[row] or k in taken:
                continue
            x1, y1, x2, y2 = found.boxes_xyxy[row].astype(float)
            a1, b1, a2, b2 = truth.boxes_xyxy[k]
            inter = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
            iou = inter / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - inter)
            if iou >= best_iou:
                best, best_iou = k, iou
        if best is not None:
            expected[row] = True
            taken.add(best)
    assert match_to_truth(found, truth).tolist() == expected.tolist()


def test_one_threshold_with_an_exception():
    thresholds = given_thresholds(TRUTH, 0.5, {"bag": 0.3})
    rows = [(1, 3, 0.4, 0, 0, 1, 1), (1, 7, 0.4, 0, 0, 1, 1), (1, 3, 0.5, 0, 0, 1, 1)]
    kept = predicted(rows)
    assert kept.labels[thresholds.keep(kept)].tolist() == [3, 7]
    assert thresholds.by_name(TRUTH) == {"can": 0.5, "bag": 0.3}


def test_a_score_written_as_the_threshold_reaches_it():
    # 0.3 is not a float32: stored it is 0.30000001, and 0.7 is 0.69999999.
    for score in (0.3, 0.7, 0.1):
        assert given_thresholds(TRUTH, score, {}).keep(predicted([(1, 3, score, 0, 0, 1, 1)])).all()


@pytest.mark.parametrize(
    ("threshold", "classes", "message"),
    [
        (1.5, {}, "--threshold is 1.5"),
        (-0.1, {}, "--threshold is -0.1"),
        (0.5, {"bag": 2.0}, "of bag is 2.0"),
        (0.5, {"bags": 0.3}, "no class 'bags'"),
    ],
)
def test_impossible_thresholds(threshold, classes, message):
    with pytest.raises(UserError) as caught:
        given_thresholds(TRUTH, threshold, classes)
    assert message in caught.value.what


def test_density_keeps_as_many_boxes_per_image_as_in_training():
    # Training: 3 boxes on 2 images, 1.5 each. Two test images: the 3 surest boxes.
    rows = [(1, 3, score, 0, 0, 1, 1) for score in (0.9, 0.1, 0.7, 0.5, 0.3)]
    thresholds = density_thresholds(predicted(rows), TRUTH)
    assert thresholds.of_category == {3: pytest.approx(0.5), 7: pytest.approx(0.5)}
    assert thresholds.keep(predicted(rows)).sum() == 3


def out_of_fold(seen: tuple[str, ...] = ()):
    """30 cans of which those scoring .6 and more are right, and 5 bags, all right."""
    truth = coco_from_dict(
        coco_dict(
            [image(k) for k in range(35)],
            [box(k, k, 3 if k < 30 else 7, [0, 0, 10, 10]) for k in range(35)],
        )
    )
    scores = np.linspace(0.3, 0.89, 30).round(2)
    rows = [(k, 3, s, 0, 0, 10, 10 if s >= 0.6 else 1) for k, s in enumerate(scores)]
    rows += [(30 + k, 7, 0.2, 0, 0, 10, 10) for k in range(5)]
    provenance = Provenance(train_file_names=seen)
    return predicted(rows, truth, provenance=provenance), truth


def test_thresholds_for_a_precision_are_chosen_per_class():
    predictions, truth = out_of_fold()
    found = precision_thresholds(predictions, truth, 1.0).of_category
    right = sorted(s for s in predictions.scores[predictions.labels == 3].tolist() if s >= 0.6)
    assert found[3] == right[0]
    # Five bags are too few for a threshold of their own: that of all boxes together.
    assert found[7] == found[3]


def test_a_precision_out_of_reach_keeps_nothing_and_is_reported_as_none():
    predictions, truth = out_of_fold()
    wrong = predictions_from_rows(
        predictions.image_ids,
        predictions.image_id_of_row,
        predictions.labels,
        predictions.scores,
        predictions.boxes_xyxy + 50,
    )
    thresholds = precision_thresholds(wrong, truth, 0.5)
    assert thresholds.by_name(truth) == {"can": None, "bag": None}
    assert not thresholds.keep(wrong).any()


def test_thresholds_are_not_chosen_on_images_that_the_teacher_saw():
    predictions, truth = out_of_fold(seen=("train/0004.jpg", "elsewhere.jpg"))
    with pytest.raises(UserError, match="trained on 1 of the 35 images"):
        precision_thresholds(predictions, truth, 0.8)


@pytest.mark.parametrize("target", [0.0, -1.0, 1.2])
def test_impossible_targets(target):
    with pytest.raises(UserError, match="--target-precision is"):
        precision_thresholds(*out_of_fold(), target)
