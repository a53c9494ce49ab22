"""YOLO trees as tools export them, and folders that labels are written into."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_tools.coco.dataset import coco_from_dict
from data_tools.convert.class_files import find_class_names
from data_tools.convert.picture_files import image_entry
from data_tools.convert.yolo import coco_from_yolo, write_yolo
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import box, coco_dict, image, write_images
from tests.builders.killing import each_kill


@pytest.fixture
def tree(tmp_path) -> Path:
    """`images/a.jpg` of 100 x 80 and `labels/a.txt` with one box of class 0."""
    write_images(tmp_path / "images", coco_from_dict(coco_dict([image(0, name="a.jpg")])))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 .5 .5 .2 .5\n")
    return tmp_path


def read(tree: Path):
    return coco_from_yolo(tree / "labels", tree / "images")


@pytest.mark.parametrize(
    ("place", "text", "names"),
    [
        ("labels/classes.txt", "cup\nplate\n", ["cup", "plate"]),
        ("labels/classes.txt", "\ufeffcup\r\nplate \r\n\r\n", ["cup", "plate"]),  # blank at the end
        ("labels/obj.names", "cup\nplate\n", ["cup", "plate"]),
        ("data.yaml", "nc: 2\nnames: ['cup', 'plate']\n", ["cup", "plate"]),
        ("data.yaml", "names:\n  1: plate\n  0: cup\n", ["cup", "plate"]),
        ("data.yaml", "names: [cup, 7]\n", ["cup", "7"]),
    ],
)
def test_where_class_names_are_found(tree, place, text, names):
    (tree / place).write_text(text)
    assert find_class_names(tree / "labels") == (names, tree / place)
    assert read(tree).dataset.category_names == tuple(names)


@pytest.mark.parametrize(
    ("place", "text", "message", "where"),
    [
        ("labels/classes.txt", "cup\n\nplate\n", "a class name is empty", "classes.txt, line 2"),
        ("data.yaml", "names: cup\n", "does not name the classes", "key `names`"),
        ("data.yaml", "names: {0: cup, 2: plate}\n", "does not name the classes", "key `names`"),
        ("data.yaml", "names: [cup, '']\n", "does not name the classes", "key `names`"),
        ("data.yaml", "nc: 2\n", "does not name the classes", "key `names`"),
    ],
)
def test_class_files_that_would_shift_classes(tree, place, text, message, where):
    (tree / place).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read(tree)
    assert where in caught.value.where


def test_no_labels_are_no_boxes(tree):
    (tree / "labels/classes.txt").write_text("cup\n")
    (tree / "labels/a.txt").unlink()
    assert len(read(tree).dataset.annotations) == 0


@pytest.mark.parametrize(
    ("line", "bbox", "note"),
    [
        ("0 .5 .5 .2 .5", [40, 20, 20, 40], None),
        ("\ufeff0 .5 .5 .2 .5", [40, 20, 20, 40], None),
        ("0 .5 .5 .2 .5 .91", [40, 20, 20, 40], "lines with a score behind the box"),
        # A triangle: x .1 to .3 of 100, y .1 to .4 of 80.
        ("0 .1 .1 .3 .1 .2 .4", [10, 8, 20, 24], "boxes drawn around polygons"),
    ],
)
def test_lines_of_the_kinds_that_tools_write(tree, line, bbox, note):
    (tree / "labels/classes.txt").write_text("cup\n")
    (tree / "labels/a.txt").write_text(line + "\n", encoding="utf-8")
    found = read(tree)
    assert found.dataset.boxes_xywh.tolist() == [pytest.approx(bbox)]
    assert [key.partition(":")[0] for key in found.notes] == ([note] if note else [])


@pytest.mark.parametrize("line", ["0 .5 .5 .2 .5 7", "0 .1 .1 .3", "1e400 0 0 1 1"])
def test_lines_that_are_no_box(tree, line):
    (tree / "labels/classes.txt").write_text("cup\n")
    (tree / "labels/a.txt").write_text(line + "\n")
    with pytest.raises(UserError, match="the line is") as caught:
        read(tree)
    assert "a.txt, line 1" in caught.value.where


def test_what_file_managers_and_exports_leave_is_passed_over(tree):
    (tree / "labels/classes.txt").write_text("cup\n")
    (tree / "labels/README.dataset.txt").write_text("hello\n")
    (tree / "labels/train.txt").write_text("data/obj_train_data/a.jpg\n")
    (tree / "labels/._a.txt").write_bytes(bytes(range(128, 255)))
    (tree / "images/__MACOSX").mkdir()
    (tree / "images/__MACOSX/._a.jpg").write_bytes(b"\0\5\26\7")
    found = read(tree)
    assert found.dataset.file_names == ("a.jpg",)
    assert found.notes == {"text files that are no labels: passed over": 2}


def test_boxes_of_a_turned_picture_go_to_its_stored_pixels(tmp_path):
    """Tools draw on the picture as shown: 120 x 160, while 160 x 120 are stored."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(tmp_path / "images/p.jpg", exif=exif)
    (tmp_path / "labels/classes.txt").write_text("cup\n")
    (tmp_path / "labels/p.txt").write_text("0 .25 .125 .5 .25\n")
    found = read(tmp_path)
    # As shown 0 to 60 across and 0 to 40 down; stored: x = y, y = 120 - x.
    assert found.dataset.sizes_wh.tolist() == [[160, 120]]
    assert found.dataset.boxes_xywh.tolist() == [[0, 60, 40, 60]]
    assert list(found.notes.values()) == [1]


def dataset(*names: str, classes: dict[int, str] | None = None):
    images = [image(k, name=name) for k, name in enumerate(names)]
    return coco_from_dict(coco_dict(images, [box(1, 0, 3, [10, 20, 30, 40])], classes))


def test_classes_of_one_name_are_told_apart(tmp_path):
    """Two classes of one name, which reading refuses, were written."""
    both = dataset("a.jpg", classes={3: "bag", 7: "bag"})
    write_yolo(tmp_path / "labels", both)
    assert (tmp_path / "labels/classes.txt").read_text() == "bag (3)\nbag (7)\n"


@pytest.mark.parametrize("name", ["two\nlines", " bag", ""])
def test_class_names_that_are_no_line(tmp_path, name):
    with pytest.raises(UserError, match="cannot stand on a line"):
        write_yolo(tmp_path / "labels", dataset("a.jpg", classes={3: name}))
    assert not (tmp_path / "labels").exists()


def test_labels_of_other_images_do_not_mix_with_the_new_ones(tmp_path):
    out = tmp_path / "labels"
    write_yolo(out, dataset("a.jpg", "old/b.jpg"))
    write_yolo(out, dataset("a.jpg", "old/b.jpg"))  # the same images again
    with pytest.raises(UserError, match="holds 1 label files of other images") as caught:
        write_yolo(out, dataset("a.jpg"))
    assert "--overwrite" in caught.value.next_step
    write_yolo(out, dataset("a.jpg"), overwrite=True)
    assert sorted(path.name for path in out.rglob("*.txt")) == ["a.txt", "classes.txt"]


def test_labels_can_be_written_again_after_a_kill(tmp_path):
    out = tmp_path / "labels"
    for _ in each_kill(lambda: write_yolo(out, dataset("a.jpg", "b.jpg"))):
        write_yolo(out, dataset("a.jpg", "b.jpg"))
        assert sorted(path.name for path in out.iterdir()) == ["a.txt", "b.txt", "classes.txt"]
        shutil.rmtree(out)


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_text_files_are_never_replaced(tmp_path, overwrite):
    (tmp_path / "requirements.txt").write_text("numpy==2.0\n")
    with pytest.raises(UserError, match="holds 1 text files that are no labels"):
        write_yolo(tmp_path, dataset("requirements.jpg"), overwrite=overwrite)
    assert (tmp_path / "requirements.txt").read_text() == "numpy==2.0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["requirements.txt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is not an image"),
        # A PNG that ends in its first block.
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR",
            "the image cannot be read (Truncated File Read)",
        ),
    ],
)
def test_a_broken_picture_is_named(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError) as caught:
        image_entry(tmp_path, "a.png")
    assert (caught.value.what, caught.value.where) == (message, str(tmp_path / "a.png"))
