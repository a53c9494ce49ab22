"""Soft-NMS of one image: the reference's boxes and order, the paper's scores."""

from __future__ import annotations

import math

import ensemble_boxes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ensemble.one_image.lists import FusionInputError
from ensemble.one_image.nms import nms
from ensemble.one_image.soft_nms import GAUSSIAN, LINEAR, PLAIN, soft_nms
from tests.builders.fusion_cases import assert_same, members, quietly, random_members
from tests.ensemble.one_image.test_nms import has_a_box

LEFT = [0.0, 0.0, 0.4, 0.4]
LEFT_TOO = [0.0, 0.0, 0.5, 0.4]  # IoU with LEFT: .16 / .20 = .8
FAR = [0.6, 0.6, 0.9, 0.9]
CASE = ([[LEFT, FAR], [LEFT_TOO]], [[0.9, 0.3], [0.8]], [[0, 0], [0]])


def test_nothing_gives_empty_arrays():
    assert [array.shape for array in soft_nms([[]], [[]], [[]])] == [(0, 4), (0,), (0,)]


def test_linear_decay():
    boxes, scores, _ = soft_nms(*CASE, method=LINEAR, iou_thr=0.5)
    # LEFT_TOO overlaps LEFT by .8 > .5: .8 * (1 - .8) = .16, now under FAR's .3
    np.testing.assert_allclose(boxes, [LEFT, FAR, LEFT_TOO])
    np.testing.assert_allclose(scores, [0.9, 0.3, 0.8 * (1 - 0.8)])


def test_gaussian_decay():
    _, scores, _ = soft_nms(*CASE, method=GAUSSIAN, sigma=0.5)
    np.testing.assert_allclose(scores, [0.9, 0.3, 0.8 * math.exp(-(0.8**2) / 0.5)])


def test_boxes_that_decay_to_the_floor_go():
    assert len(soft_nms(*CASE, method=LINEAR, iou_thr=0.5, thresh=0.17)[0]) == 2


def test_plain_method_is_nms():
    for ours, expected in zip(soft_nms(*CASE, method=PLAIN), nms(*CASE), strict=True):
        np.testing.assert_array_equal(ours, expected)


@given(members(), st.sampled_from([LINEAR, GAUSSIAN]), st.sampled_from([0.0, 0.4]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_equals_the_reference_but_for_its_scores(case, method, iou, weighted):
    assume(has_a_box(case))
    options = {"method": method, "iou_thr": iou, "weights": None}
    if weighted:
        options["weights"] = list(range(1, len(case[0]) + 1))
    theirs = quietly(ensemble_boxes.soft_nms, *case, **options)
    assert_same(soft_nms(*case, **options, decayed_scores=False), theirs)


def test_equals_the_reference_on_crowded_images():
    for seed in range(40):
        case = random_members(np.random.default_rng(seed), size=40)
        options = {"method": 1 + seed % 2, "iou_thr": 0.3}
        theirs = quietly(ensemble_boxes.soft_nms, *case, **options)
        assert_same(soft_nms(*case, **options, decayed_scores=False), theirs)


def test_the_reference_returns_scores_that_never_decayed():
    _, theirs, _ = quietly(ensemble_boxes.soft_nms, *CASE, method=LINEAR)
    assert sorted(theirs) == [0.3, 0.8, 0.9]  # the fault that `decayed_scores` is there for


def test_an_unknown_method_is_refused():
    with pytest.raises(FusionInputError, match="`method` is 4"):
        soft_nms(*CASE, method=4)
