"""Submission CSVs: every spelling that real files have, and reading back what was written."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_tools.coco.dataset import coco_from_dict
from data_tools.coco.fractions import look_like_fractions
from data_tools.ground.errors import UserError
from data_tools.predictions.files import read_predictions
from data_tools.predictions.formats.catalogue import find_format, with_classes
from data_tools.predictions.table import predictions_from_rows
from submit.printing import write_in_format
from tests.builders.scoring_cases import dataset, predictions

HEADER = "PredictionString,image_id\n"


@pytest.fixture
def images():
    return dataset(3)


def write(tmp_path, text, name="submission.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEADER, id="no rows"),
        pytest.param(HEADER + ",test/0001.jpg\n,test/0002.jpg\n,test/0003.jpg\n", id="empty"),
        pytest.param(HEADER + '"",test/0001.jpg\n', id="quoted empty"),
        pytest.param(HEADER + "nan,test/0001.jpg\nNaN,test/0002.jpg\n", id="nan"),
        pytest.param(HEADER + " ,test/0001.jpg\n", id="a space"),
    ],
)
def test_no_boxes(tmp_path, images, text):
    table = read_predictions(write(tmp_path, text), images)
    assert len(table) == 0
    assert table.image_ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "string",
    [
        pytest.param("1 0.5 1 2 3.5 4 2 0.25 5 6 7 8 ", id="trailing space"),
        pytest.param("1 0.5 1 2 3.5 4 2 0.25 5 6 7 8", id="no trailing space"),
        pytest.param(" 1  0.5 1 2\t3.5 4 2 0.25 5 6 7 8  ", id="odd spaces"),
        pytest.param("1.0 0.5 1.0 2.0 3.5 4.0 2.0 2.5e-1 5 6 7 8 ", id="whole floats as labels"),
        pytest.param('"1 0.5 1 2 3.5 4 2 0.25 5 6 7 8 "', id="quoted"),
    ],
)
def test_boxes_in_file_order(tmp_path, images, string):
    table = read_predictions(write(tmp_path, f"{HEADER}{string},test/0002.jpg\n"), images)
    assert table.row_order == "file"
    assert table.image_id_of_row.tolist() == [2, 2]
    assert table.labels.tolist() == [1, 2]
    assert table.scores.tolist() == [0.5, 0.25]
    assert table.boxes_xyxy.tolist() == [[1, 2, 3.5, 4], [5, 6, 7, 8]]


def test_columns_in_the_other_order_windows_line_ends_and_gzip(tmp_path, images):
    text = "image_id,PredictionString\r\ntest/0003.jpg,1 0.5 1 2 3 4 \r\n"
    path = tmp_path / "submission.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_predictions(path, images).image_id_of_row.tolist() == [3]


def test_rows_are_joined_by_name_not_by_position(tmp_path, images):
    text = f"{HEADER}1 0.3 1 1 2 2 ,test/0003.jpg\n1 0.1 1 1 2 2 ,test/0001.jpg\n"
    table = read_predictions(write(tmp_path, text), images)
    assert dict(zip(table.image_id_of_row.tolist(), table.scores.tolist(), strict=True)) == {
        1: pytest.approx(0.1),
        3: pytest.approx(0.3),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boxes,image\n1,2\n", "the header is 'boxes,image'"),
        (HEADER + "1 0.5 1 2 3,test/0001.jpg\n", "1 rows do not divide into 6 numbers a box"),
        (HEADER + "1 0.5 1 2 3 x ,test/0001.jpg\n", "1 boxes have a text where a number should be"),
        (HEADER + "1.5 0.5 1 2 3 4 ,test/0001.jpg\n", "1 boxes have a label that is no class"),
        (HEADER + "1 1.5 1 2 3 4 ,test/0001.jpg\n", "1 scores are not in [0, 1]"),
        (HEADER + "1 0.5 9 2 3 4 ,test/0001.jpg\n", "`boxes_xyxy` is"),
        (HEADER + "1 0.5 inf 2 3 4 ,test/0001.jpg\n", "1 boxes have a number that is not finite"),
        (HEADER + ",other.jpg\n", "1 images are not in"),
        (HEADER + ",test/0001.jpg\n,test/0001.jpg\n", "1 rows repeat an image"),
        ("", "not a valid CSV"),
        (HEADER + "1 0.5 1 2 3 4 ,test/0001.jpg,more\n", "not a valid CSV"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, images, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_predictions(path, images)
    assert message in caught.value.what
    assert str(path) in str(caught.value.where)


def test_torn_gzip_and_missing_file_are_refused(tmp_path, images):
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(UserError, match="not valid gzip"):
        read_predictions(torn, images)
    with pytest.raises(UserError, match="does not exist"):
        read_predictions(tmp_path / "none.csv", images)


def write_seeds_format(path, table, images):
    """Write any label as its id, also one that the images' file does not list."""
    classes_in_use = with_classes(replace(images, categories=()), table.labels)
    write_in_format(path, table, classes_in_use, find_format("aistages"))


def test_text_as_written(tmp_path, images):
    table = predictions(images, [(1, 2, 0.5, [1, 2, 3.25, 4]), (1, 1, 0.1, [0, 0, 9, 9])])
    write_seeds_format(tmp_path / "out.csv", table, images)
    assert (tmp_path / "out.csv").read_text() == (
        "PredictionString,image_id\n"
        "2 0.5 1.0 2.0 3.25 4.0 1 0.1 0.0 0.0 9.0 9.0 ,test/0001.jpg\n"
        ",test/0002.jpg\n"
        ",test/0003.jpg\n"
    )


def test_written_in_the_order_of_the_dataset_whatever_the_ids(tmp_path):
    images = coco_from_dict(
        {"images": [{"id": number, "file_name": f"{number}.jpg", "width": 9, "height": 9}
                    for number in (30, 10, 20)]}
    )  # fmt: skip
    table = predictions_from_rows(
        np.array([10, 20, 30]), np.array([10, 30]), np.array([1, 3]), np.array([0.5, 0.25]),
        np.array([[0, 0, 1, 1], [0, 0, 2, 2]]),
    )  # fmt: skip
    write_seeds_format(tmp_path / "out.csv", table, images)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[1:] == [
        "3 0.25 0.0 0.0 2.0 2.0 ,30.jpg",
        "1 0.5 0.0 0.0 1.0 1.0 ,10.jpg",
        ",20.jpg",
    ]


NUMBERS = st.floats(0, 2000, width=32, allow_nan=False)
BOXES = st.tuples(
    st.integers(1, 3), st.integers(0, 99), st.floats(0, 1, width=32), NUMBERS, NUMBERS, NUMBERS,
    NUMBERS,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(BOXES, max_size=12), st.sampled_from([".csv", ".csv.gz"]))
def test_reading_back_gives_the_same_float32_numbers(tmp_path_factory, rows, suffix):
    images = dataset(3)
    table = predictions(
        images,
        [(image, label, score, [min(a, b), min(c, d), max(a, b), max(c, d)])
         for image, label, score, a, b, c, d in rows],
    )  # fmt: skip
    assume(not look_like_fractions(table.boxes_xyxy, images.sizes_wh))
    path = tmp_path_factory.mktemp("csv") / f"out{suffix}"
    write_seeds_format(path, table, images)
    again = read_predictions(path, replace(images, categories=()))
    for column in ("image_ids", "offsets", "labels", "scores", "boxes_xyxy"):
        # Text is read as float64; printed from a float32, it says which one.
        read = getattr(again, column).astype(getattr(table, column).dtype)
        np.testing.assert_array_equal(read, getattr(table, column))


@pytest.mark.real_data
def test_real_submissions_read_as_they_are_and_write_back_byte_by_byte(real_data, tmp_path):
    images = coco_from_dict(
        {"images": [{"id": place, "file_name": f"test/{place:04d}.jpg", "width": 1024,
                     "height": 1024} for place in range(4871)]}
    )  # fmt: skip
    for name, boxes in (("cascade_fpn_e20", 71_995), ("swin_dyhead_ce", 52_250)):
        source = real_data / "submissions" / f"{name}.csv.gz"
        read_predictions(source, images)  # first call: imports
        start = time.perf_counter()
        table = read_predictions(source, images)
        # 0.1 s; a loop over rows and boxes takes ten times as long.
        assert time.perf_counter() - start < 2
        assert len(table) == boxes
        write_seeds_format(tmp_path / "out.csv", table, images)
        assert (tmp_path / "out.csv").read_bytes() == gzip.decompress(source.read_bytes())
