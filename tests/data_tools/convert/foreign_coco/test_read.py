"""COCO files as other tools write them: what is repaired, counted, and what is still refused."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import coco_from_dict, read_coco
from data_tools.convert.foreign_coco.read import read_foreign_coco
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import box, coco_dict, image, write_dict, write_images


def content() -> dict:
    """Two images of 100 x 80 and two boxes."""
    images = [image(4, name="train/a.jpg"), image(9, name="train/b.jpg")]
    return coco_dict(images, [box(1, 4, 3, [10, 20, 30, 40]), box(2, 9, 7, [5, 6, 7, 8])])


def read(tmp_path, value):
    return read_foreign_coco(write_dict(tmp_path / "a.json", value), tmp_path)


def test_a_file_without_images_stays_one(tmp_path):
    dataset, counts = read(tmp_path, {"images": []})
    assert (len(dataset.images), counts) == (0, {})


def test_a_sound_file_is_not_changed(tmp_path):
    dataset, counts = read(tmp_path, content())
    assert counts == {}
    assert dataset.as_dict() == coco_from_dict(content()).as_dict()


def _text_ids(value):
    for entry in value["images"]:
        entry["id"] = f"img_{entry['id']}"
    for entry in value["annotations"]:
        entry["image_id"] = f"img_{entry['image_id']}"


def _float_ids(value):
    for entry in value["images"]:
        entry["id"] = float(entry["id"])


def _text_numbers(value):
    for entry in value["images"]:
        entry["id"] = str(entry["id"])
    for entry in value["annotations"]:
        entry["image_id"] = str(entry["image_id"])


def _text_classes(value):
    for entry in value["categories"]:
        entry["id"] = str(entry["id"])
    for entry in value["annotations"]:
        entry["category_id"] = str(entry["category_id"])


def _text_sizes(value):
    for entry in value["images"]:
        entry.update(width=str(entry["width"]), height=float(entry["height"]))


def _text_boxes(value):
    for entry in value["annotations"]:
        entry["bbox"] = [str(number) for number in entry["bbox"]]


def _nested_boxes(value):
    for entry in value["annotations"]:
        entry["bbox"] = [entry["bbox"]]


def _negative_boxes(value):
    for entry in value["annotations"]:
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x + width, y + height, -width, -height]


def _fractions(value):
    for entry in value["annotations"]:
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x / 100, y / 80, width / 100, height / 80]


def _polygons(value):
    for entry in value["annotations"]:
        x, y, w, h = entry.pop("bbox")
        entry["segmentation"] = [[x, y, x + w, y], [x + w, y + h, x, y + h]]


def _no_ids(value):
    for entry in value["annotations"]:
        del entry["id"]


def _same_ids(value):
    for entry in value["annotations"]:
        entry["id"] = 1


def _negative_areas(value):
    for entry in value["annotations"]:
        entry["area"] = -1


def _twice_listed(value):
    value["images"].append({**value["images"][0], "id": 77})
    value["annotations"][0]["image_id"] = 77


def _class_twice(value):
    value["categories"].append(dict(value["categories"][0]))


def _crowd_text(value):
    for entry in value["annotations"]:
        entry["iscrowd"] = "false"


@pytest.mark.parametrize(
    ("damage", "note", "count"),
    [
        (_text_ids, "image ids that are no numbers, numbered anew", 2),
        (_float_ids, "image ids written as text or fractions", 2),
        (_text_numbers, "image ids written as text or fractions", 2),
        (_text_classes, "class ids written as text or fractions", 2),
        (_text_sizes, "sizes written as text or fractions", 2),
        (_text_boxes, "boxes written as text", 2),
        (_nested_boxes, "boxes in a list of their own", 2),
        (_negative_boxes, "boxes with a negative width or height, turned round", 2),
        (_fractions, "boxes given as fractions of the image, turned into pixels", 2),
        (_polygons, "boxes drawn around polygons", 2),
        (_no_ids, "annotation ids that were missing or no numbers", 2),
        (_same_ids, "annotation ids that stood twice", 1),
        (_negative_areas, "areas that cannot be, taken from the boxes", 2),
        (_twice_listed, "images listed twice, joined with their boxes", 1),
        (_class_twice, "classes listed twice", 1),
        (_crowd_text, "crowd flags written as text", 2),
    ],
)
def test_what_other_tools_write_is_repaired_and_counted(tmp_path, damage, note, count):
    value = content()
    damage(value)
    dataset, counts = read(tmp_path, value)
    assert counts[note] == count
    assert dataset.file_names == ("train/a.jpg", "train/b.jpg")
    assert dataset.sizes_wh.tolist() == [[100, 80], [100, 80]]
    names = dict(zip(dataset.category_ids.tolist(), dataset.category_names, strict=True))
    found = [
        (dataset.file_names[dataset.index_of_image_id[b["image_id"]]], names[b["category_id"]])
        for b in dataset.annotations
    ]
    assert found == [("train/a.jpg", "can"), ("train/b.jpg", "bag")]
    assert dataset.boxes_xywh.tolist() == [
        pytest.approx([10, 20, 30, 40]), pytest.approx([5, 6, 7, 8]),
    ]  # fmt: skip
    assert dataset.annotation_areas.tolist() == pytest.approx([1200, 56])
    assert len(set(dataset.annotation_ids.tolist())) == 2
    # What was written is a file that every command reads.
    path = write_dict(tmp_path / "b.json", dataset.as_dict())
    assert len(read_coco(path).annotations) == 2


@pytest.mark.parametrize("damage", [_text_ids, _text_sizes, _text_boxes, _no_ids, _same_ids,
                                    _twice_listed, _negative_areas, _fractions])  # fmt: skip
def test_other_readers_name_the_command_that_repairs(tmp_path, damage):
    value = content()
    damage(value)
    path = write_dict(tmp_path / "a.json", value)
    with pytest.raises(UserError) as caught:
        read_coco(path)
    assert f"data_tools convert {path} --from coco" in caught.value.next_step


@pytest.mark.parametrize(("key", "value"), [("info", []), ("info", "x"), ("licenses", {"id": 1})])
def test_descriptions_that_nobody_reads_are_passed_over(tmp_path, key, value):
    dataset = coco_from_dict({**content(), key: value})
    assert (dataset.info, dataset.licenses) == ({}, ())
    assert len(read(tmp_path, {**content(), key: value})[0].annotations) == 2


def test_annotations_without_box_or_polygon_are_left_out(tmp_path):
    value = content()
    value["annotations"][0] |= {"bbox": [], "segmentation": []}
    value["annotations"].append({**box(3, 9, 7, [0, 0, 1, 1]), "bbox": None})
    dataset, counts = read(tmp_path, value)
    assert counts == {"annotations without box or polygon, left out": 2}
    assert dataset.annotation_ids.tolist() == [2]


def test_sizes_come_from_the_pictures(tmp_path):
    value = content()
    write_images(tmp_path, coco_from_dict(value))
    for entry in value["images"]:
        del entry["width"]
    dataset, counts = read(tmp_path, value)
    assert counts == {"sizes read from the pictures": 2}
    assert dataset.sizes_wh.tolist() == [[100, 80], [100, 80]]
    (tmp_path / "train/b.jpg").unlink()
    with pytest.raises(UserError, match="the picture does not tell them: the image does not exist"):
        read(tmp_path, value)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("train\\a.jpg", "names whose backslashes were turned"),
        ("C:\\me\\train\\a.jpg", "names cut to the part that is below --data"),
        ("/other/train/a.jpg", "names cut to the part that is below --data"),
        ("../data/train/a.jpg", "names cut to the part that is below --data"),
        ("http://host/up/train/a.jpg", "names cut to the part that is below --data"),
    ],
)
def test_names_are_changed_where_the_picture_is_there_then(tmp_path, name, note):
    value = content()
    write_images(tmp_path, coco_from_dict(value))
    value["images"][0]["file_name"] = name
    dataset, counts = read(tmp_path, value)
    assert counts == {note: 1}
    assert dataset.file_names == ("train/a.jpg", "train/b.jpg")


@pytest.mark.parametrize("name", ["train\\a.jpg", "/etc/a.jpg", "../a.jpg"])
def test_names_without_picture_are_refused(tmp_path, name):
    value = content()
    value["images"][0]["file_name"] = name
    with pytest.raises(UserError, match="no part of it is a picture below --data"):
        read(tmp_path, value)


def test_nothing_is_written_outside_the_folder_given(tmp_path):
    """A name by an absolute path once overwrote the text file beside that picture."""
    victim = tmp_path / "requirements.txt"
    victim.write_text("numpy\n")
    for name in (str(tmp_path / "requirements.jpg"), "../requirements.jpg"):
        value = coco_dict([image(1, name=name)], [box(1, 1, 3, [10, 20, 30, 40])])
        path = write_dict(tmp_path / "a.json", value)
        done = CliRunner().invoke(
            main, ["convert", str(path), "--from", "coco", "--out", str(tmp_path / "out/labels")]
        )
        assert done.exit_code == 2
    assert victim.read_text() == "numpy\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "requirements.txt"]


def test_the_command_prints_what_it_repaired(tmp_path):
    value = content()
    _same_ids(value)
    path = write_dict(tmp_path / "a.json", value)
    arguments = ["convert", str(path), "--from", "coco", "--out", str(tmp_path / "b.json")]
    assert "  1 x annotation ids that stood twice" in CliRunner().invoke(main, arguments).stdout
    printed = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert printed["notes"] == {"annotation ids that stood twice": 1}


def test_what_cannot_be_repaired_is_refused(tmp_path):
    value = content()
    value["annotations"][0]["image_id"] = 1000
    with pytest.raises(UserError, match="`image_id` 1000 is not among the images"):
        read(tmp_path, value)
    with pytest.raises(UserError, match="`images` is no list of objects"):
        read(tmp_path, {"images": [1]})
    value = content()
    value["annotations"][0] |= {"image_id": [4], "bbox": {"x": 1}}
    with pytest.raises(UserError, match="`image_id` None is not among the images"):
        read(tmp_path, value)
