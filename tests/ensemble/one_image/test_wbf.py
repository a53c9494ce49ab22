"""WBF of one image: the reference package's numbers, and ours where it is wrong."""

from __future__ import annotations

import ensemble_boxes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.ground.errors import UserError
from ensemble.one_image.lists import FusionInputError
from ensemble.one_image.wbf import weighted_boxes_fusion
from ensemble.settings import CONFIDENCE_TYPES
from tests.builders.fusion_cases import assert_same, members, quietly, random_members

LEFT = [0.0, 0.0, 0.4, 0.4]
LEFT_TOO = [0.0, 0.0, 0.5, 0.4]  # IoU with LEFT: .16 / .20 = .8
FAR = [0.6, 0.6, 0.9, 0.9]


def test_nothing_gives_empty_arrays():
    for case in ([], []), ([[]], [[]]), ([[], []], [[], []]):
        boxes, scores, labels = weighted_boxes_fusion(case[0], case[1], case[1])
        assert boxes.shape == (0, 4) and scores.shape == (0,) and labels.shape == (0,)


def test_two_boxes_are_averaged_by_score():
    boxes, scores, labels = weighted_boxes_fusion([[LEFT], [LEFT_TOO]], [[0.9], [0.3]], [[7], [7]])
    # x2 = (.9 * .4 + .3 * .5) / (.9 + .3); score = (.9 + .3) / 2 boxes * 2 models / 2 models
    np.testing.assert_allclose(boxes, [[0, 0, (0.9 * 0.4 + 0.3 * 0.5) / 1.2, 0.4]], atol=1e-7)
    np.testing.assert_allclose(scores, [0.6], atol=1e-7)
    assert labels.tolist() == [7]


def test_a_model_without_boxes_still_counts():
    _, scores, _ = weighted_boxes_fusion([[LEFT], [], []], [[0.9], [], []], [[0], [], []])
    np.testing.assert_allclose(scores, [0.9 * 1 / 3])


def test_weights_pull_box_and_score():
    boxes, scores, _ = weighted_boxes_fusion(
        [[LEFT], [LEFT_TOO]], [[0.8], [0.4]], [[0], [0]], weights=[3, 1]
    )
    # weighted scores 2.4 and .4; score = (2.4 + .4) / 2 * 2 / (3 + 1)
    np.testing.assert_allclose(boxes[0, 2], (2.4 * 0.4 + 0.4 * 0.5) / 2.8, atol=1e-7)
    np.testing.assert_allclose(scores, [0.7], atol=1e-7)


@pytest.mark.parametrize(
    ("conf_type", "expected"),
    [
        # One cluster of three boxes, two of them model 1's: .8, .6 and .4; a third model is silent.
        ("avg", (0.8 + 0.6 + 0.4) / 3 * min(3, 3) / 3),
        ("max", 0.8),
        # average by weight, times the share of models that found it
        ("box_and_model_avg", (0.8 + 0.6 + 0.4) / 3 * 2 / 3),
        # the silent model joins the average with a zero
        ("absent_model_aware_avg", (0.8 + 0.6 + 0.4) / (3 + 1)),
    ],
)
def test_confidence_types(conf_type, expected):
    _, scores, _ = weighted_boxes_fusion(
        [[LEFT, LEFT], [LEFT], []],
        [[0.8, 0.4], [0.6], []],
        [[0, 0], [0], []],
        conf_type=conf_type,
    )
    np.testing.assert_allclose(scores, [expected], atol=1e-7)


@given(
    members(),
    st.sampled_from([0.0, 0.3, 0.5, 0.55, 1.0]),
    st.sampled_from([0.0, 0.25]),
    st.sampled_from(CONFIDENCE_TYPES),
    st.booleans(),
    st.data(),
)
@settings(max_examples=400, deadline=None)
def test_equals_the_reference(case, iou, skip, conf_type, overflow, data):
    weights = data.draw(
        st.none() | st.lists(st.floats(0.1, 10), min_size=len(case[0]), max_size=len(case[0]))
    )
    options = {
        "weights": weights,
        "iou_thr": iou,
        "skip_box_thr": skip,
        "conf_type": conf_type,
        "allows_overflow": overflow,
    }
    ours = weighted_boxes_fusion(*case, **options)
    theirs = quietly(ensemble_boxes.weighted_boxes_fusion, *case, **options)
    if np.isnan(theirs[0]).any():  # two boxes of score 0 met: see test_two_boxes_of_score_zero
        assert np.isfinite(ours[0]).all() and np.isfinite(ours[1]).all()
    else:
        assert_same(ours, theirs)


@pytest.mark.parametrize("conf_type", CONFIDENCE_TYPES)
def test_equals_the_reference_on_crowded_images(conf_type):
    for seed in range(40):
        case = random_members(np.random.default_rng(seed))
        options = {"iou_thr": 0.5, "skip_box_thr": 0.01, "conf_type": conf_type}
        options["weights"] = [1, 2, 0.5, 1] if seed % 2 else None
        theirs = quietly(ensemble_boxes.weighted_boxes_fusion, *case, **options)
        assert_same(weighted_boxes_fusion(*case, **options), theirs)


@given(members())
@settings(max_examples=100, deadline=None)
def test_inputs_stay_as_they_are(case):
    before = [[array.copy() for array in column] for column in case]
    weighted_boxes_fusion(*case)
    for column, old_column in zip(case, before, strict=True):
        for array, old in zip(column, old_column, strict=True):
            np.testing.assert_array_equal(array, old)


def test_two_boxes_of_score_zero_give_their_mean():
    case = [[LEFT], [LEFT_TOO, FAR]], [[0.0], [0.0, 0.0]], [[0], [0, 0]]
    theirs = quietly(ensemble_boxes.weighted_boxes_fusion, *case)
    assert np.isnan(theirs[0]).any()  # the fault that is still in the reference package
    boxes, scores, _ = weighted_boxes_fusion(*case)
    assert scores.tolist() == [0.0, 0.0]
    expected = [[0.0, 0.0, 0.45, 0.4], FAR]
    np.testing.assert_allclose(sorted(boxes.tolist()), expected, atol=1e-7)


def test_a_wrong_number_of_weights_is_refused():
    with pytest.raises(FusionInputError, match="1 weights for 2 members") as raised:
        weighted_boxes_fusion([[LEFT], [FAR]], [[1], [1]], [[0], [0]], weights=[1])
    assert isinstance(raised.value, UserError) and isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [1, 0]}, "numbers above 0"),
        ({"weights": [1, float("nan")]}, "numbers above 0"),
        ({"conf_type": "mean"}, "avg, max, box_and_model_avg, absent_model_aware_avg"),
        ({"iou_thr": -0.1}, "`iou_thr` is -0.1"),
        ({"skip_box_thr": float("nan")}, "`skip_box_thr` is nan"),
        ({"scores_list": [[0.5], [0.5, 0.5]]}, "member 2 has boxes of shape"),
        ({"labels_list": [[0]]}, "lists of"),
        ({"labels_list": [[0], [0.5]]}, "member 2 has a label that is not a whole number"),
        ({"boxes_list": [[LEFT], [[0, 0, float("inf"), 1]]]}, "member 2 has a box or score"),
        ({"boxes_list": [[LEFT], [[0, 0, 1]]]}, "(n, 4) boxes"),
        ({"boxes_list": [[LEFT], [["a", 0, 1, 1]]]}, "member 2"),
    ],
)
def test_bad_input_raises_instead_of_ending_the_process(change, message):
    good = {
        "boxes_list": [[LEFT], [FAR]],
        "scores_list": [[0.5], [0.5]],
        "labels_list": [[0], [0]],
    }
    with pytest.raises(FusionInputError) as raised:
        weighted_boxes_fusion(**{**good, **change})
    assert message in str(raised.value)


def test_nothing_is_printed_or_warned(capfd, recwarn):
    weighted_boxes_fusion([[[1.2, -0.5, 0.3, 0.5], [0.2, 0.2, 0.2, 0.2]]], [[0.5, 0.5]], [[0, 0]])
    assert capfd.readouterr() == ("", "") and not recwarn.list


def test_large_labels_survive():
    label = 2**24 + 1  # not a float32
    labels = weighted_boxes_fusion([[LEFT], [LEFT]], [[0.5], [0.4]], [[label], [label]])[2]
    assert labels.tolist() == [label]
