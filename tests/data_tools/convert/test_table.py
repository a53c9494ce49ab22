"""Annotation tables with the headers that are about."""

from __future__ import annotations

import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.convert.table import coco_from_table
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import coco_dict, image, write_images

PLAIN = "file_name,class,xmin,ymin,xmax,ymax\n"
# xmin 10, ymin 20, xmax 60, ymax 80.
BOX = [10, 20, 50, 60]


@pytest.fixture
def root(tmp_path):
    """Pictures of 100 x 80: a.jpg, which has a box, and b.jpg, which has none."""
    images = [image(0, name="a.jpg"), image(1, name="b.jpg")]
    write_images(tmp_path, coco_from_dict(coco_dict(images)))
    return tmp_path


def read(root, text):
    (root / "t.csv").write_text(text)
    return coco_from_table(root / "t.csv", root)


def test_a_header_alone_is_an_empty_dataset(root):
    assert len(read(root, PLAIN).dataset.images) == 0


@pytest.mark.parametrize(
    ("text", "class_name"),
    [
        (PLAIN + "a.jpg,cup,10,20,60,80\nb.jpg,,,,,\n", "cup"),
        (PLAIN + "a.jpg,cup,10,20,60,80\nb.jpg,No finding,nan,nan,NaN,nan\n", "cup"),
        (
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,cup,10,20,60,80\n"
            "b.jpg,100,80,,,,,\n",
            "cup",
        ),
        (
            'image_id,width,height,bbox,source\na,100,80,"[10.0, 20.0, 50.0, 60.0]",x\n'
            "b,100,80,,x\n",
            "object",
        ),
        ("patientId,x,y,width,height,Target\nb,,,,,0\na,10.0,20.0,50.0,60.0,1\n", "object"),
        (
            "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
            "b,No finding,14,R11,,,,\na,cup,3,R9,10.0,20.0,60.0,80.0\n",
            "cup",
        ),
        ("a.jpg,10,20,60,80,cup\nb.jpg,,,,,\n", "cup"),  # without header
        ("b.jpg,,,,,\na.jpg,10,20,60,80,cup\n", "cup"),
        ("Image,Label,X1,Y1,X2,Y2\na.jpg,cup,10,20,60,80\nb.jpg,,,,,\n", "cup"),
    ],
)
def test_headers_that_are_about(root, text, class_name):
    dataset = read(root, text).dataset
    assert sorted(dataset.file_names) == ["a.jpg", "b.jpg"]
    assert dataset.sizes_wh.tolist() == [[100, 80]] * 2
    assert dataset.category_names == (class_name,)
    assert dataset.boxes_xywh.tolist() == [BOX]
    assert dataset.file_names[dataset.annotation_image_ids[0]] == "a.jpg"


def test_spaces_are_no_part_of_a_name(root):
    found = read(root, PLAIN + "a.jpg,cup ,10,20,60,80\n./a.jpg,cup,10,20,60,80\n")
    assert found.dataset.category_names == ("cup",)
    assert found.dataset.file_names == ("a.jpg",)
    assert found.notes == {"class names with spaces around them: stripped": 1}


def test_classes_that_differ_in_capital_letters_are_kept_and_said(root):
    found = read(root, PLAIN + "a.jpg,cup,10,20,60,80\na.jpg,Cup,10,20,60,80\n")
    assert found.dataset.category_names == ("Cup", "cup")
    assert found.notes == {"classes that differ from another in capital letters only": 1}


def test_exchanged_corners_are_turned_round_and_counted(root):
    found = read(root, PLAIN + "a.jpg,cup,60,80,10,20\n")
    assert found.dataset.boxes_xywh.tolist() == [BOX]
    assert found.notes == {"boxes whose corners were exchanged: turned round": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN + "a.jpg,cup,10,20,60,80\na.jpg,cup,.1,.2,.6,.8\n", "looks like fractions"),
        (PLAIN + "a.jpg,cup,10,20,nan,80\n", "`xmax` is 'nan'"),
        (PLAIN + ",cup,10,20,60,80\n", "the row names no image"),
        ('image_id,bbox\na,"[1, 2, 3]"\n', "`bbox` is '\\[1, 2, 3\\]'"),
        ('image_id,bbox\nz,"[1, 2, 3, 4]"\n', "there is no picture z.jpg"),
        ("name_of_it,class,xmin,ymin,xmax,ymax\n", "no column 'file_name'"),
        ("file_name,class,confidence\n", "no column 'xmin'"),
    ],
)
def test_tables_that_cannot_be_read(root, text, message):
    with pytest.raises(UserError, match=message):
        read(root, text)
