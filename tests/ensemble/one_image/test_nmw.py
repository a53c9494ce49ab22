"""Non-maximum weighted fusion of one image against the reference package."""

from __future__ import annotations

import ensemble_boxes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.one_image.lists import FusionInputError
from ensemble.one_image.nmw import non_maximum_weighted
from tests.builders.fusion_cases import assert_same, members, quietly, random_members

LEFT = [0.0, 0.0, 0.4, 0.4]
LEFT_TOO = [0.0, 0.0, 0.5, 0.4]  # IoU with LEFT: .16 / .20 = .8


def test_nothing_gives_empty_arrays():
    found = non_maximum_weighted([[], []], [[], []], [[], []])
    assert [array.shape for array in found] == [(0, 4), (0,), (0,)]


def test_boxes_weigh_by_score_times_overlap_and_the_best_score_stays():
    boxes, scores, _ = non_maximum_weighted([[LEFT], [LEFT_TOO]], [[0.9], [0.5]], [[0], [0]])
    # shares .9 * 1 and .5 * .8
    expected = (0.9 * 0.4 + 0.4 * 0.5) / (0.9 + 0.4)
    np.testing.assert_allclose(boxes, [[0, 0, expected, 0.4]], atol=1e-7)
    np.testing.assert_allclose(scores, [0.9], atol=1e-7)


def test_weights_count_relative_to_the_largest():
    _, scores, _ = non_maximum_weighted(
        [[LEFT], [[0.6, 0.6, 0.9, 0.9]]], [[0.9], [0.5]], [[0], [0]], weights=[4, 2]
    )
    np.testing.assert_allclose(scores, [0.9, 0.25], atol=1e-7)


@given(
    members(), st.sampled_from([0.0, 0.3, 0.55, 1.0]), st.sampled_from([0.0, 0.25]), st.booleans()
)
@settings(max_examples=300, deadline=None)
def test_equals_the_reference(case, iou, skip, weighted):
    options = {"iou_thr": iou, "skip_box_thr": skip, "weights": None}
    if weighted:
        options["weights"] = list(range(1, len(case[0]) + 1))
    theirs = quietly(ensemble_boxes.non_maximum_weighted, *case, **options)
    ours = non_maximum_weighted(*case, **options)
    broken = np.isnan(theirs[0]).any(axis=1)  # boxes of score 0: their weights sum to 0 there
    assert np.isfinite(ours[0]).all() and (ours[1][broken] == 0).all()
    assert_same([column[~broken] for column in ours], [column[~broken] for column in theirs])


def test_equals_the_reference_on_crowded_images():
    for seed in range(40):
        case = random_members(np.random.default_rng(seed))
        options = {"iou_thr": 0.5, "skip_box_thr": 0.01}
        theirs = quietly(ensemble_boxes.non_maximum_weighted, *case, **options)
        assert_same(non_maximum_weighted(*case, **options), theirs)


def test_boxes_of_score_zero_are_averaged_by_overlap():
    boxes, scores, _ = non_maximum_weighted([[LEFT], [LEFT_TOO]], [[0], [0]], [[0], [0]])
    # The later box leads among equals: LEFT_TOO with share 1, LEFT with .8.
    np.testing.assert_allclose(boxes, [[0, 0, (0.5 + 0.8 * 0.4) / 1.8, 0.4]], atol=1e-7)
    assert scores.tolist() == [0]


def test_a_wrong_number_of_weights_is_refused():
    with pytest.raises(FusionInputError, match="1 weights for 2 members"):
        non_maximum_weighted([[LEFT], [LEFT]], [[1], [1]], [[0], [0]], weights=[1])
