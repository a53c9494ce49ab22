"""Telling boxes in fractions of the image from boxes in pixels."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.coco.fractions import look_like_fractions
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import box, coco_dict, image


def test_no_boxes_look_like_nothing():
    assert not look_like_fractions(np.zeros((0, 4)), np.zeros((0, 2)))


@pytest.mark.parametrize(
    ("boxes", "size", "expected"),
    [
        ([[0.1, 0.2, 0.5, 0.9]], (100, 80), True),
        ([[-0.01, 0.2, 1.02, 0.9]], (100, 80), True),  # a little over the edge
        ([[0.1, 0.2, 0.5, 0.9], [10, 20, 30, 40]], (100, 80), False),  # one box of pixels
        ([[0, 0, 1, 1]], (100, 80), False),  # whole numbers: one pixel
        ([[0.1, 0.2, 0.5, 0.9]], (7, 80), False),  # an image of seven pixels
    ],
)
def test_what_looks_like_fractions(boxes, size, expected):
    assert look_like_fractions(np.array(boxes), np.array(size)) is expected


def test_a_coco_file_with_fractions_is_refused_with_what_to_do():
    # x .1, width .4 of 100 pixels: 10 and 40 are meant.
    boxes = [box(1, 1, 3, [0.1, 0.2, 0.4, 0.5]), box(2, 1, 7, [0.0, 0.25, 0.5, 0.5])]
    with pytest.raises(UserError, match="all 2 boxes look like fractions of the image") as caught:
        coco_from_dict(coco_dict([image(1)], boxes))
    assert "--from coco" in caught.value.next_step
    assert caught.value.expected == "x, y, width, height in pixels"


def test_boxes_without_area_do_not_hide_fractions():
    boxes = [box(1, 1, 3, [0.1, 0.2, 0.4, 0.5]), box(2, 1, 7, [50, 50, 0, 0])]
    with pytest.raises(UserError, match="all 1 boxes look like fractions"):
        coco_from_dict(coco_dict([image(1)], boxes))
