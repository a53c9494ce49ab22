"""NMS of one image against the reference package."""

from __future__ import annotations

import ensemble_boxes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ensemble.one_image.lists import FusionInputError
from ensemble.one_image.nms import nms
from tests.builders.fusion_cases import assert_same, members, quietly, random_members

LEFT = [0.0, 0.0, 0.4, 0.4]
LEFT_TOO = [0.0, 0.0, 0.5, 0.4]  # IoU with LEFT: .16 / .20 = .8
FAR = [0.6, 0.6, 0.9, 0.9]


def test_nothing_gives_empty_arrays():
    boxes, scores, labels = nms([[], []], [[], []], [[], []])
    assert boxes.shape == (0, 4) and scores.shape == (0,) and labels.dtype == np.int64


def test_the_weaker_of_two_overlapping_boxes_goes():
    case = [[LEFT, FAR], [LEFT_TOO]], [[0.5, 0.3], [0.9]], [[1, 1], [1]]
    boxes, scores, labels = nms(*case, iou_thr=0.7)
    np.testing.assert_allclose(boxes, [LEFT_TOO, FAR])
    assert scores.tolist() == [0.9, 0.3] and labels.tolist() == [1, 1]
    assert len(nms(*case, iou_thr=0.81)[0]) == 3  # .8 is not above .81


def test_other_labels_do_not_suppress():
    assert len(nms([[LEFT, LEFT]], [[0.5, 0.9]], [[0, 1]])[0]) == 2


def has_a_box(case):
    for boxes in case[0]:
        clipped = np.clip(boxes, 0, 1)
        if ((clipped[:, 0] != clipped[:, 2]) & (clipped[:, 1] != clipped[:, 3])).any():
            return True
    return False


@given(members(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_equals_the_reference(case, iou, weighted):
    assume(has_a_box(case))  # the reference fails without any
    weights = list(range(1, len(case[0]) + 1)) if weighted else None
    theirs = quietly(ensemble_boxes.nms, *case, iou_thr=iou, weights=weights)
    assert_same(nms(*case, iou_thr=iou, weights=weights), theirs)


def test_equals_the_reference_on_crowded_images():
    for seed in range(40):
        case = random_members(np.random.default_rng(seed))
        theirs = quietly(ensemble_boxes.nms, *case, iou_thr=0.5)
        assert_same(nms(*case, iou_thr=0.5), theirs)


def test_weights_scale_scores_and_leave_the_callers_alone():
    scores = [[0.9], [0.5]]
    _, fused, _ = nms([[LEFT], [FAR]], scores, [[0], [0]], weights=[3, 1])
    np.testing.assert_allclose(fused, [0.9 * 3 / 4, 0.5 * 1 / 4])
    assert scores == [[0.9], [0.5]]


def test_a_wrong_number_of_weights_is_refused():
    with pytest.raises(FusionInputError, match="3 weights for 2 members"):
        nms([[LEFT], [FAR]], [[1], [1]], [[0], [0]], weights=[1, 1, 1])
