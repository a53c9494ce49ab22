"""Box arithmetic, against a slow reference and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_tools.ground.boxes import (
    box_areas,
    clip_boxes,
    has_positive_area,
    iou_matrix,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

NOTHING = np.zeros((0, 4))
whole_boxes = arrays(
    np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(0, 20)
)


def test_no_boxes_give_no_results():
    assert xywh_to_xyxy(NOTHING).shape == (0, 4)
    assert xyxy_to_xywh(NOTHING).shape == (0, 4)
    assert box_areas(NOTHING).shape == (0,)
    assert clip_boxes(NOTHING, (10, 10)).shape == (0, 4)
    assert has_positive_area(NOTHING).shape == (0,)
    assert iou_matrix(NOTHING, NOTHING).shape == (0, 0)
    assert iou_matrix(NOTHING, np.ones((3, 4))).shape == (0, 3)


def test_corners_of_a_coco_box():
    # x 2, y 3, width 10, height 20: the far corner is (2 + 10, 3 + 20).
    assert xywh_to_xyxy(np.array([[2, 3, 10, 20]])).tolist() == [[2, 3, 12, 23]]


def test_conversions_return_new_arrays():
    boxes = np.array([[2.0, 3.0, 10.0, 20.0]])
    for convert in (xywh_to_xyxy, xyxy_to_xywh):
        convert(boxes)[0, 0] = 99
        assert boxes[0, 0] == 2


@given(whole_boxes)
def test_conversions_undo_each_other(boxes):
    assert np.array_equal(xyxy_to_xywh(xywh_to_xyxy(boxes)), boxes)


def test_areas_and_boxes_turned_inside_out():
    # 3 x 4 = 12; a box whose xmax lies left of its xmin has no area, not a negative one.
    assert box_areas(np.array([[0, 0, 3, 4], [5, 5, 3, 9]])).tolist() == [12, 0]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([[-5, -5, 50, 50]], [[0, 0, 10, 20]]),
        ([[2, 3, 4, 5]], [[2, 3, 4, 5]]),
        ([[11, 21, 15, 25]], [[10, 20, 10, 20]]),
    ],
    ids=["larger than the image", "inside", "outside"],
)
def test_clipping_to_one_size(boxes, expected):
    assert clip_boxes(np.array(boxes, np.float32), (10, 20)).tolist() == expected


def test_clipping_to_a_size_per_box_keeps_the_dtype():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9]], np.float32)
    clipped = clip_boxes(boxes, np.array([[5, 6], [7, 8]]))
    assert clipped.tolist() == [[0, 0, 5, 6], [0, 0, 7, 8]]
    assert clipped.dtype == np.float32


def test_positive_area_needs_both_sides_and_finite_corners():
    boxes = [[0, 0, 1, 1], [0, 0, 0, 5], [0, 0, 5, 0], [3, 3, 2, 9], [0, 0, np.nan, 1]]
    assert has_positive_area(np.array(boxes)).tolist() == [True, False, False, False, False]
    assert has_positive_area(np.array([[0, 0, np.inf, 1]])).tolist() == [False]


def test_iou_by_hand():
    # Two 10 x 10 boxes sharing a 5 x 10 strip: 50 / (100 + 100 - 50) = 1/3.
    first, second = np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10], [10, 0, 20, 10]])
    assert iou_matrix(first, second).tolist() == [[50 / 150, 0.0]]


def test_iou_of_boxes_without_area_is_zero():
    point = np.array([[3, 3, 3, 3]])
    assert iou_matrix(point, point).tolist() == [[0.0]]


@given(whole_boxes, whole_boxes)
def test_iou_counts_pixels(first_xywh, second_xywh):
    first, second = xywh_to_xyxy(first_xywh), xywh_to_xyxy(second_xywh)
    got = iou_matrix(first, second)
    assert np.array_equal(got, iou_matrix(second, first).T)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            # Whole-pixel boxes: count the pixels of each on a grid.
            grids = np.zeros((2, 40, 40), bool)
            for grid, (x1, y1, x2, y2) in zip(grids, (a.astype(int), b.astype(int)), strict=True):
                grid[y1:y2, x1:x2] = True
            union = (grids[0] | grids[1]).sum()
            expected = (grids[0] & grids[1]).sum() / union if union else 0.0
            assert got[i, j] == pytest.approx(expected)
