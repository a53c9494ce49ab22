"""Reading, checking and writing COCO files."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pytest

from data_tools.coco.dataset import coco_from_dict, read_coco, write_coco
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import box, coco_dict, image, random_coco, write_dict


def test_a_dataset_without_images_or_boxes_is_read():
    dataset = coco_from_dict({"images": []})
    assert (len(dataset.images), len(dataset.annotations)) == (0, 0)
    assert dataset.boxes_xyxy.shape == (0, 4)
    assert dataset.sizes_wh.shape == (0, 2)
    assert dataset.labels.shape == (0,)


def test_images_without_boxes_are_kept():
    dataset = coco_from_dict(coco_dict([image(4), image(9)], [box(0, 9, 3, [1, 2, 3, 4])]))
    assert dataset.image_ids.tolist() == [4, 9]
    assert dataset.annotation_rows_of_image_id == {4: [], 9: [0]}


def test_ids_are_not_positions_and_categories_need_not_be_contiguous():
    boxes = [box(50, 9, 7, [10, 20, 30, 40]), box(40, 4, 3, [0, 0, 1, 1])]
    dataset = coco_from_dict(coco_dict([image(9), image(4)], boxes))
    assert dataset.index_of_image_id == {9: 0, 4: 1}
    assert dataset.labels.tolist() == [7, 3]
    # x 10 + width 30, y 20 + height 40.
    assert dataset.boxes_xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 1, 1]]
    assert dataset.image_id_of_file_name == {"train/0009.jpg": 9, "train/0004.jpg": 4}


def test_area_and_iscrowd_are_filled_in_and_other_keys_kept():
    boxes = [{**box(0, 1, 3, [0, 0, 5, 6]), "weight": 0.4}]
    dataset = coco_from_dict(coco_dict([image(1)], boxes))
    assert dataset.annotations[0]["area"] == 30
    assert dataset.annotations[0]["iscrowd"] == 0
    assert dataset.annotations[0]["weight"] == 0.4


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        ([5, 5, 0, 4], "has no area"),
        ([5, 5, 4, 0], "has no area"),
        ([5, 5, -3, 4], "has no area"),
        ([5, 5, float("nan"), 4], "is not finite"),
        ([5, 5, float("inf"), 4], "is not finite"),
    ],
)
def test_boxes_without_size_are_skipped_and_listed(bbox, reason):
    boxes = [box(0, 1, 3, [0, 0, 5, 5]), box(1, 1, 3, bbox)]
    dataset = coco_from_dict(coco_dict([image(1)], boxes))
    assert [entry["id"] for entry in dataset.annotations] == [0]
    (skipped,) = dataset.skipped
    assert (skipped.annotation_id, skipped.file_name) == (1, "train/0001.jpg")
    assert reason in skipped.reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no list `images`"),
        ({"annotations": []}, "no list `images`"),
        ({"images": [5]}, "an image is not an object"),
        ({"images": [{**image(1), "id": "1"}]}, "image `id` is '1'"),
        ({"images": [{**image(1), "id": True}]}, "image `id` is True"),
        ({"images": [{**image(1), "width": 0}]}, "image `width` is 0"),
        ({"images": [{**image(1), "height": 8.5}]}, "image `height` is 8.5"),
        ({"images": [{**image(1), "file_name": ""}]}, "image `file_name` is ''"),
        (coco_dict([image(1), image(1, name="b.jpg")]), "1 duplicate image ids, the first is 1"),
        (coco_dict([image(1, name="a"), image(2, name="a")]), "1 duplicate file names"),
        (coco_dict([image(1)], [box(0, 2, 3, [0, 0, 1, 1])]), "`image_id` 2 is not among"),
        (coco_dict([image(1)], [box(0, 1, 4, [0, 0, 1, 1])]), "`category_id` 4 is not among"),
        (coco_dict([image(1)], [box(0, 1, 3, [0, 0, 1])]), "`bbox` is [0, 0, 1]"),
        (coco_dict([image(1)], [box(0, 1, 3, [0, 0, "1", 1])]), "`bbox` is"),
        (coco_dict([image(1)], [box(0, 1, 3, [0, 0, 1, 1])] * 2), "1 duplicate annotation ids"),
        ({"images": [], "categories": [{"id": 1}]}, "a category lacks `id` or `name`"),
    ],
)
def test_what_breaks_the_format_is_named(content, message):
    with pytest.raises(UserError) as caught:
        coco_from_dict(content)
    assert message in caught.value.what


def test_a_skipped_box_still_counts_as_a_duplicate_id():
    boxes = [box(0, 1, 3, [0, 0, 5, 5]), box(0, 1, 3, [0, 0, 0, 5])]
    with pytest.raises(UserError, match="duplicate annotation ids"):
        coco_from_dict(coco_dict([image(1)], boxes))


def test_the_position_of_a_broken_annotation_is_given(tmp_path):
    boxes = [box(5, 1, 3, [0, 0, 1, 1]), box(6, 8, 3, [0, 0, 1, 1])]
    path = write_dict(tmp_path / "train.json", coco_dict([image(1)], boxes))
    with pytest.raises(UserError) as caught:
        read_coco(path)
    assert caught.value.where == f"{path}, annotations[1] (id 6)"


def test_a_missing_file_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="does not exist") as caught:
        read_coco(tmp_path / "train.json")
    assert "make sample" in caught.value.next_step


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_a_truncated_file_is_a_users_mistake(tmp_path, suffix):
    whole = json.dumps(coco_dict([image(i) for i in range(50)])).encode()
    whole = gzip.compress(whole) if suffix.endswith("gz") else whole
    path = tmp_path / f"train{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not valid JSON"):
        read_coco(path)


def test_writing_and_reading_give_the_same_dataset(tmp_path):
    dataset = random_coco(np.random.default_rng(0), 12)
    write_coco(tmp_path / "a.json", dataset)
    again = read_coco(tmp_path / "a.json")
    assert again.as_dict() == dataset.as_dict()
    assert again.fingerprint == dataset.fingerprint


def test_the_fingerprint_sees_images_and_not_their_order():
    first = coco_from_dict(coco_dict([image(1), image(2)]))
    turned = coco_from_dict(coco_dict([image(2), image(1)]))
    other = coco_from_dict(coco_dict([image(1), image(2, width=101)]))
    assert first.fingerprint == turned.fingerprint != other.fingerprint


def test_a_subset_keeps_file_order_and_its_boxes_only():
    dataset = random_coco(np.random.default_rng(1), 10)
    chosen = dataset.image_ids[[7, 2, 4]]
    subset = dataset.subset(chosen)
    assert subset.image_ids.tolist() == [dataset.image_ids[i] for i in (2, 4, 7)]
    expected = [b for b in dataset.annotations if b["image_id"] in set(chosen.tolist())]
    assert list(subset.annotations) == expected


def test_a_subset_of_unknown_images_is_refused():
    with pytest.raises(UserError, match="1 image ids are not in the dataset, the first is 99"):
        coco_from_dict(coco_dict([image(1)])).subset([1, 99])


def test_the_real_annotations_are_read(real_data):
    dataset = read_coco(real_data / "recycle_train.json.gz")
    assert (len(dataset.images), len(dataset.annotations)) == (4883, 23144)
    counts = np.bincount(dataset.labels)
    assert counts.tolist() == [3966, 6352, 897, 936, 982, 2943, 1263, 5178, 159, 468]


def small_file() -> dict:
    return coco_dict([image(1)], [box(1, 1, 3, [0, 0, 5, 6])])


def test_an_area_of_zero_stays_as_in_the_file():
    """COCO sorts sizes by the file's own `area`; pycocotools counts this box as small."""
    value = small_file()
    value["annotations"][0]["area"] = 0
    assert coco_from_dict(value).annotations[0]["area"] == 0


@pytest.mark.parametrize(
    ("key", "content", "part"),
    [
        ("area", "large", "`area` is 'large'"),
        ("area", float("nan"), "`area` is nan"),
        ("area", -4, "`area` is -4"),
        ("iscrowd", "0", "`iscrowd` is '0'"),
        ("image_id", [1], "`image_id` [1] is not among the images"),
        ("bbox", [True, 1, 2, 3], "`bbox` is [True, 1, 2, 3]"),
    ],
)
def test_an_annotation_with_an_unusable_value_is_an_error(key, content, part):
    value = small_file()
    value["annotations"][0][key] = content
    with pytest.raises(UserError, match=re.escape(part)):
        coco_from_dict(value)


@pytest.mark.parametrize(
    ("key", "content"),
    [("annotations", 7), ("categories", {"a": 1})],
)
def test_a_part_of_another_kind_is_an_error_that_names_it(key, content):
    with pytest.raises(UserError, match=f"`{key}` is of type"):
        coco_from_dict({**small_file(), key: content})


def test_an_id_beyond_64_bits_is_an_error():
    value = small_file()
    value["images"][0]["id"] = 2**70
    with pytest.raises(UserError, match="image `id` is 1180591620717411303424"):
        coco_from_dict(value)


def test_a_byte_order_mark_is_read_over(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(small_file()), encoding="utf-8-sig")
    assert len(read_coco(path).images) == len(small_file()["images"])


def test_a_damaged_gzip_file_is_an_error(tmp_path):
    packed = bytearray(gzip.compress(json.dumps(small_file()).encode()))
    packed[12:40] = bytes(28 * [255])
    path = tmp_path / "train.json.gz"
    path.write_bytes(packed)
    with pytest.raises(UserError, match="not valid JSON"):
        read_coco(path)
