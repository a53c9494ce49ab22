"""Sides in the place of corners, and the reverse, are told from boxes that are right."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.coco.dataset import coco_from_dict, read_coco
from data_tools.predictions.files import read_predictions
from data_tools.predictions.misread import MisreadBoxes, misread, read_as
from tests.builders.misread_boxes import BOXES_XYWH, BOXES_XYXY, write_misread_files

SIZES = np.full((20, 2), 100)


def test_no_boxes_and_few_boxes_are_not_judged():
    assert misread(np.zeros((0, 4)), None, np.zeros((0, 2))) is None
    assert misread(BOXES_XYWH[:19], None, SIZES[:19]) is None


def test_boxes_that_are_right_are_not_misread():
    assert misread(BOXES_XYXY, None, SIZES) is None
    assert misread(BOXES_XYXY, BOXES_XYWH[:, 2:], SIZES) is None


def test_sides_in_the_place_of_the_second_corner():
    # The boxes begin at x = y = 30 to 49 and are 40 x 30: in 10 of them width is above x, in none
    # height above y.
    found = misread(BOXES_XYWH, None, SIZES)
    assert (found.numbers, found.fit_otherwise) == ("xywh", 20)
    assert found.unfit_as_filed.all()
    assert np.array_equal(found.boxes_xyxy, BOXES_XYXY)
    assert np.array_equal(found.sides_wh, BOXES_XYWH[:, 2:])


def test_corners_in_the_place_of_the_sides():
    as_filed = np.concatenate([BOXES_XYXY[:, :2], BOXES_XYXY[:, :2] + BOXES_XYXY[:, 2:]], axis=1)
    found = misread(as_filed, BOXES_XYXY[:, 2:], SIZES)
    assert (found.numbers, found.sides_wh) == ("xyxy", None)
    assert np.array_equal(found.boxes_xyxy, BOXES_XYXY)
    assert found.text == (
        "17 of 20 boxes have no area or lie partly outside their image as [xmin, ymin, width, "
        "height], and 20 fit as [xmin, ymin, xmax, ymax]"
    )  # x + xmax = 2 * x + 40 is at most 105, five percent more than the image, for x up to 32


def test_what_is_wrong_otherwise_is_not_called_misread():
    turned = BOXES_XYXY[:, [2, 3, 0, 1]]
    for other in (turned, BOXES_XYXY * 3, np.full((20, 4), np.nan)):
        assert misread(other, None, SIZES) is None


def test_a_reading_that_is_the_format_s_own_changes_nothing():
    boxes, sides = read_as("xyxy", BOXES_XYXY, None)
    assert boxes is BOXES_XYXY and sides is None
    boxes, sides = read_as("xywh", BOXES_XYXY, BOXES_XYWH[:, 2:])
    assert boxes is BOXES_XYXY and np.array_equal(sides, BOXES_XYWH[:, 2:])


@pytest.mark.parametrize(("name", "numbers"), [("sides.csv", "xywh"), ("corners.json", "xyxy")])
def test_files_are_refused_and_read_when_the_numbers_are_named(tmp_path, name, numbers):
    truth_file = write_misread_files(tmp_path)
    dataset = read_coco(truth_file)
    with pytest.raises(MisreadBoxes) as caught:
        read_predictions(tmp_path / name, dataset)
    assert f"convert FILE --from predictions --boxes {numbers}" in caught.value.next_step
    for read in (
        read_predictions(tmp_path / name, dataset, numbers=numbers),
        caught.value.read_otherwise(),
    ):
        assert np.array_equal(read.boxes_xyxy, BOXES_XYXY)


def test_of_14_real_files_none_is_misread_and_all_are_named_with_either_mistake(real_data):
    files = sorted(real_data.glob("[so]*/*.csv.gz"))
    assert len(files) == 14
    train = read_coco(real_data / "recycle_train.json.gz")
    images = [
        {"id": k, "file_name": f"test/{k:04d}.jpg", "width": 1024, "height": 1024}
        for k in range(4871)
    ]
    test = coco_from_dict({"images": images})
    for path in files:
        predictions = read_predictions(path, train if path.parent.name == "oof" else test)
        boxes, sizes = predictions.boxes_xyxy, np.full((len(predictions), 2), 1024)
        sides = boxes[:, 2:] - boxes[:, :2]
        as_corners = np.concatenate([boxes[:, :2], sides], axis=1)
        as_sides = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        assert misread(boxes, sides, sizes) is None, path
        assert misread(as_corners, None, sizes).numbers == "xywh", path
        assert misread(as_sides, boxes[:, 2:], sizes).numbers == "xyxy", path
