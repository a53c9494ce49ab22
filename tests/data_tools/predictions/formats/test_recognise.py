"""Submissions of any format are recognised, and what is taken for granted is said."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.ground.errors import UserError
from data_tools.ground.options.notes import Assumption, collected_notes
from data_tools.predictions.files import read_predictions, read_predictions_and_gaps
from data_tools.predictions.formats.catalogue import find_format
from data_tools.predictions.formats.read import reading_format


def images(*, classes=("paper", "metal"), names=("test/1.jpg", "test/2.jpg")):
    return coco_from_dict(
        {
            "images": [{"id": 10 * place, "file_name": name, "width": 200, "height": 100}
                       for place, name in enumerate(names, start=1)],
            "categories": [{"id": place, "name": name} for place, name in enumerate(classes, 7)],
        }
    )  # fmt: skip


def read(tmp_path, text, dataset, name=None):
    path = tmp_path / "s.csv"
    path.write_text(text)
    chosen = None if name is None else find_format(name)
    with collected_notes() as notes:
        predictions, missing = read_predictions_and_gaps(path, dataset, chosen)
    return predictions, missing, [note.removeprefix(f"{path}: ") for note in notes]


# Text, classes, format; every box is 20 10 60 30 of class 7 on test/1.jpg.
ONE_BOX = {
    "aistages": ("PredictionString,image_id\n7 0.5 20 10 60 30 ,test/1.jpg\n,test/2.jpg\n", 2),
    "kaggle": ("ImageId,PredictionString\n1,7 0.5 20 10 60 30\n2,\n", 2),
    "kaggle_xywh": ("image_id,PredictionString\n1,0.5 20 10 40 20\n2,\n", 1),
    "rsna": ("patientId,PredictionString\n1,0.5 20 10 40 20\n2,\n", 1),
    "kaggle_normalised": ("ImageId,PredictionString\n1,paper 0.5 0.1 0.1 0.3 0.3\n2,\n", 2),
    "kaggle_no_finding": ("image_id,PredictionString\n1,7 0.5 20 10 60 30\n2,14 1 0 0 1 1\n", 2),
    "rows": ("image_id,label,score,xmin,ymin,xmax,ymax\ntest/1.jpg,7,0.5,20,10,60,30\n", 2),
}


@pytest.mark.parametrize("name", ONE_BOX)
def test_each_built_in_format_is_recognised_by_header_and_content(tmp_path, name):
    text, class_count = ONE_BOX[name]
    dataset = images(classes=("paper", "metal")[:class_count])
    found, missing, notes = read(tmp_path, text, dataset)
    assert (found.image_id_of_row.tolist(), found.labels.tolist()) == ([10], [7])
    assert found.boxes_xyxy.tolist() == [pytest.approx([20, 10, 60, 30])]
    assert missing == ()
    assert notes == ([] if name == "aistages" else [f"read in the format {name!r}"])


def test_a_header_without_rows_is_a_file_without_boxes(tmp_path):
    found, missing, _ = read(tmp_path, "ImageId,PredictionString\n", images())
    assert len(found) == 0
    assert missing == ("test/1.jpg", "test/2.jpg")


def test_the_header_of_no_format_lists_those_that_there_are(tmp_path):
    with pytest.raises(UserError, match="the header is 'a,b', that of no format") as caught:
        read(tmp_path, "a,b\n1,2\n", images())
    assert "rsna: patientId,PredictionString" in str(caught.value)


def test_a_named_format_that_does_not_fit_is_refused_with_both_headers(tmp_path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, ONE_BOX["kaggle"][0], images(), "rsna")
    assert "the header is 'ImageId,PredictionString'" in str(caught.value)
    assert "patientId,PredictionString, the header of format 'rsna'" in str(caught.value)


def test_where_no_format_can_be_read_the_fault_is_that_of_the_first(tmp_path):
    message = "read in the format 'kaggle': 1 rows do not divide into 6 numbers a box"
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, "ImageId,PredictionString\n1,7 0.5 20\n", images())
    assert "choose one with --format (kaggle, kaggle_normalised)" in caught.value.next_step


def test_a_file_that_says_two_things_is_asked_about(tmp_path):
    # Thirty numbers are five boxes with a label or six without: both are whole.
    numbers = "1.0 1 1 1 1 " * 6
    text = f"PredictionString,image_id\n{numbers},test/1.jpg\n"
    dataset = images(classes=("paper",))
    dataset = replace(dataset, categories=({"id": 1, "name": "paper"},))
    with pytest.raises(UserError, match="in several formats, with different boxes") as caught:
        read(tmp_path, text, dataset)
    assert caught.value.expected.startswith("--format with one of aistages, kaggle_xywh")


@pytest.mark.parametrize("name", [None, "kaggle_normalised"])
def test_pixels_are_not_multiplied_by_the_size_of_the_image(tmp_path, name):
    text = "ImageId,PredictionString\n1,paper 0.9 10 10 50 50\n"
    with pytest.raises(UserError, match=r"1 boxes have a label|1 boxes look like pixels"):
        read(tmp_path, text, images(), name)


def test_the_root_category_of_roboflow_is_no_class(tmp_path):
    root = {"id": 0, "name": "wheat", "supercategory": "none"}
    head = {"id": 1, "name": "head", "supercategory": "wheat"}
    text = "image_id,PredictionString\n1,0.5 20 10 40 20\n"
    for categories in ((root, head), (head, root)):
        found, _, _ = read(tmp_path, text, replace(images(), categories=categories), "kaggle_xywh")
        assert found.labels.tolist() == [1]
    two = ({**root, "name": "x"}, head)
    with pytest.raises(UserError, match="has no label, but the dataset has 2 classes"):
        read(tmp_path, text, replace(images(), categories=two), "kaggle_xywh")


def test_row_numbers_upon_row_numbers_are_passed_over(tmp_path):
    text = "Unnamed: 0.1,Unnamed: 0,ImageId,PredictionString\n0,0,1,7 0.5 20 10 60 30\n1,1,2,\n"
    assert len(read(tmp_path, text, images(), "kaggle")[0]) == 1


@pytest.mark.parametrize("column", ["", "Unnamed: 0", "index"])
def test_row_numbers_of_pandas_are_passed_over(tmp_path, column):
    text = f"{column},ImageId,PredictionString\n5,1,7 0.5 20 10 60 30\n3,2,\n"
    found, _, notes = read(tmp_path, text, images(), "kaggle")
    assert len(found) == 1
    assert notes == [f"the row numbers in front (column {column!r}) are passed over"]


def test_a_first_column_of_other_things_is_no_index(tmp_path):
    with pytest.raises(UserError, match="the header is ',ImageId,PredictionString'"):
        read(tmp_path, ",ImageId,PredictionString\nx,1,\n", images(), "kaggle")


def test_labels_with_decimals_are_read_and_said(tmp_path):
    text = "ImageId,PredictionString\n1,7.0 0.5 20 10 60 30\n"
    found, missing, notes = read(tmp_path, text, images(), "kaggle")
    assert found.labels.tolist() == [7]
    assert missing == ("test/2.jpg",)
    assert notes == ["1 labels are written with decimals, such as 7.0"]


@pytest.mark.parametrize("name", ["1.jpg", "1", "data/test/1.jpg", r"test\1.jpg", "test/1.png"])
def test_a_folder_or_an_ending_more_or_less_means_the_same_image(tmp_path, name):
    text = f"PredictionString,image_id\n7 0.5 20 10 60 30 ,{name}\n"
    found, _, notes = read(tmp_path, text, images(), "aistages")
    assert found.image_id_of_row.tolist() == [10]
    (note,) = notes
    assert note == (
        "1 names have another ending, or a folder more or less, than in None; the first is "
        f"{name!r}, read as 'test/1.jpg'"
    )


@pytest.mark.parametrize(
    ("name", "file_names"),
    [
        pytest.param("train/1.jpg", ("test/1.jpg",), id="of another folder"),
        pytest.param("1.jpg", ("a/1.jpg", "b/1.jpg"), id="of two images"),
        pytest.param("1.2.840.9", ("1.2.840.dcm",), id="the last number is no ending"),
        pytest.param("11.jpg", ("test/1.jpg",), id="part of a name"),
    ],
)
def test_names_that_may_be_another_image_are_refused(tmp_path, name, file_names):
    text = f"PredictionString,image_id\n7 0.5 20 10 60 30 ,{name}\n"
    with pytest.raises(UserError, match="1 images are not in"):
        read(tmp_path, text, images(names=file_names), "aistages")


def test_one_image_by_two_forms_of_its_name_is_repeated(tmp_path):
    text = "PredictionString,image_id\n,test/1.jpg\n,1.jpg\n"
    with pytest.raises(UserError, match="1 rows repeat an image"):
        read(tmp_path, text, images(), "aistages")


def test_without_a_command_line_the_assumption_is_a_warning(tmp_path):
    (tmp_path / "s.csv").write_text(ONE_BOX["kaggle"][0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_predictions(tmp_path / "s.csv", images())
    assert [one.category for one in caught] == [Assumption]


def test_a_format_for_files_that_need_none_is_refused():
    assert reading_format(None, None, ["a.parquet"]) is None
    assert reading_format("kaggle", None, ["a.parquet", "b.csv"]).name == "kaggle"
    with pytest.raises(UserError, match="--format kaggle is of no use"):
        reading_format("kaggle", None, ["a.parquet", "b.json"])
