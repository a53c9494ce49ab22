"""Pixel boxes are refused by every function that takes one image's boxes as fractions."""

from __future__ import annotations

import pytest

from ensemble.one_image.lists import FusionInputError
from ensemble.one_image.nms import nms
from ensemble.one_image.nmw import non_maximum_weighted
from ensemble.one_image.soft_nms import soft_nms
from ensemble.one_image.wbf import weighted_boxes_fusion


@pytest.mark.parametrize("fuse", [weighted_boxes_fusion, nms, soft_nms, non_maximum_weighted])
def test_boxes_in_pixels_are_refused(fuse):
    boxes = [[[0, 0.1, 0.5, 0.6]], [[0, 12, 52, 61]]]
    with pytest.raises(FusionInputError, match="member 2 has a box that ends at 61"):
        fuse(boxes, [[0.9], [0.7]], [[0], [0]])
    assert len(fuse([[[0, 0.1, 0.5, 1.02]]], [[0.9]], [[0]])[0]) == 1
