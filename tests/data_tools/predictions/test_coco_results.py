"""COCO results whose ids are texts or contradict their names are joined by name, and say so."""

from __future__ import annotations

import json

import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.ground.errors import UserError
from data_tools.ground.options.notes import Assumption
from data_tools.predictions.coco_results import read_coco_results

IMAGES = coco_from_dict(
    {
        "images": [
            {"id": 1, "file_name": "images/0002.jpg", "width": 50, "height": 50},
            {"id": 2, "file_name": "images/0001.jpg", "width": 50, "height": 50},
        ],
        "categories": [{"id": 3, "name": "a"}],
        "annotations": [],
    }
)


def written(tmp_path, *images):
    rows = [{**image, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5} for image in images]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    return path


def test_no_rows(tmp_path):
    assert len(read_coco_results(written(tmp_path), IMAGES).image_ids) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["images/0002.jpg", "0002.jpg", "0002"])
def test_ids_that_agree_with_the_names_are_taken_without_a_word(tmp_path, name):
    found = read_coco_results(written(tmp_path, {"image_id": 1, "file_name": name}), IMAGES)
    assert (found.image_ids.tolist(), found.joined_by_name) == ([1], False)


def test_numbers_of_other_images_than_the_names_give_way_to_the_names(tmp_path):
    # 0002.jpg is image 1, and Ultralytics calls it 2, which is 0001.jpg.
    path = written(tmp_path, {"image_id": 2, "file_name": "0002.jpg"})
    with pytest.warns(Assumption, match="1 boxes are joined .* 1 have an `image_id` that is anoth"):
        found = read_coco_results(path, IMAGES)
    assert (found.image_ids.tolist(), found.joined_by_name) == ([1], True)


@pytest.mark.parametrize("text", ["0002", "0002.jpg", "images/0002.jpg"])
def test_texts_are_names(tmp_path, text):
    with pytest.warns(Assumption, match="`image_id` is a text"):
        found = read_coco_results(written(tmp_path, {"image_id": text}), IMAGES)
    assert found.image_ids.tolist() == [1]


@pytest.mark.parametrize(
    "images",
    [
        [{"image_id": 2, "file_name": "0002.jpg"}, {"image_id": 2, "file_name": "0001.jpg"}],
        [{"image_id": 2, "file_name": "0002.jpg"}, {"image_id": 1}],
        [{"image_id": 2, "file_name": "0003.jpg"}],
        [{"image_id": "0003"}],
    ],
    ids=["two names of one id", "a row without a name", "no image", "a text that is no image"],
)
def test_names_that_do_not_say_which_image_are_refused(tmp_path, images):
    with pytest.raises(UserError, match=r"image_id"):
        read_coco_results(written(tmp_path, *images), IMAGES)


def test_a_name_that_two_images_have_is_refused(tmp_path):
    images = [{**image, "file_name": f"{image['id']}/a.jpg"} for image in IMAGES.images]
    twins = coco_from_dict({**IMAGES.as_dict(), "images": images})
    with pytest.raises(UserError, match=r"'a' is none, or of several"):
        read_coco_results(written(tmp_path, {"image_id": "a"}), twins)
