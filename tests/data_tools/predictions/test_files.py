"""Prediction files on disk: exact, complete, and refused for other images."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.ground.errors import UserError
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import predictions_from_rows
from tests.builders.coco_cases import coco_dict, image

IMAGES = coco_from_dict(coco_dict([image(9), image(2), image(5)]))
RESULT = {"image_id": 5, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.25}
ORIGIN = Provenance(dataset=IMAGES.fingerprint, model="yolox", run="yolox", fold=3)


def some_predictions(boxes: int = 7, **kwargs):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (boxes, 4))
    corners[:, 2:] += corners[:, :2]
    return predictions_from_rows(
        IMAGES.image_ids,
        rng.choice([9, 5], boxes),
        rng.choice([3, 7], boxes),
        rng.random(boxes),
        corners,
        provenance=ORIGIN,
        **kwargs,
    )


@pytest.mark.parametrize("boxes", [0, 1, 7])
def test_parquet_gives_back_every_bit(tmp_path, boxes):
    written = some_predictions(boxes)
    write_predictions(tmp_path / "a.parquet", written)
    again = read_predictions(tmp_path / "a.parquet", IMAGES)
    for name in ("image_ids", "offsets", "labels", "scores", "boxes_xyxy", "views"):
        assert np.array_equal(getattr(again, name), getattr(written, name)), name
    assert again.provenance == ORIGIN


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a"])
def test_a_name_of_another_format_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="written as Parquet"):
        write_predictions(tmp_path / name, some_predictions())
    assert not list(tmp_path.iterdir())


def test_rows_in_file_order_are_sorted_when_written(tmp_path):
    write_predictions(tmp_path / "a.parquet", some_predictions(row_order="file"))
    again = read_predictions(tmp_path / "a.parquet")
    assert again.row_order == "score"
    assert np.array_equal(again.scores, some_predictions().scores)


def test_predictions_of_another_dataset_are_refused(tmp_path):
    write_predictions(tmp_path / "a.parquet", some_predictions())
    same_ids = coco_from_dict(coco_dict([image(9, width=55), image(2), image(5)]))
    fewer = coco_from_dict(coco_dict([image(9), image(2)]))
    for other in (same_ids, fewer):
        with pytest.raises(UserError, match="made for another dataset: 3 images"):
            read_predictions(tmp_path / "a.parquet", other)


def test_a_missing_file_and_an_unknown_kind(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_predictions(tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="unknown kind of prediction file"):
        read_predictions(tmp_path / "a.txt", IMAGES)


def test_a_torn_parquet_file(tmp_path):
    write_predictions(tmp_path / "a.parquet", some_predictions())
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="not valid Parquet"):
        read_predictions(tmp_path / "a.parquet")


def test_someone_elses_parquet_file(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="not one of the kit's prediction files"):
        read_predictions(tmp_path / "a.parquet")


def test_coco_results_keep_their_order(tmp_path):
    rows = [
        {"image_id": 5, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.25},
        {"image_id": 5, "category_id": 7, "bbox": [0, 0, 9, 9], "score": 0.75},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    found = read_predictions(tmp_path / "a.json", IMAGES)
    assert found.labels.tolist() == [3, 7]
    # [1, 2, 3, 4] in x, y, width, height reaches to (1 + 3, 2 + 4).
    assert found.boxes_xyxy[0].tolist() == [1, 2, 4, 6]
    assert found.row_order == "file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "not a list"),
        ([3], "a result is 3"),
        ([{"image_id": 5}], "a result lacks `category_id`"),
        # Four boxes of five numbers are as many numbers as five boxes of four.
        ([{**RESULT, "bbox": [1, 2, 3, 4, 5]}] * 4, "`bbox` is .1, 2, 3, 4, 5."),
        ([{**RESULT, "bbox": None}], "`bbox` is None"),
        ([{**RESULT, "image_id": 5.6}], "`image_id` is 5.6"),
        ([{**RESULT, "category_id": "can"}], "`category_id` is 'can'"),
        ([{**RESULT, "score": "high"}], "`score` is 'high'"),
        ([{**RESULT, "image_id": 77}], "image 77"),
    ],
)
def test_broken_coco_results(tmp_path, content, message):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_predictions(tmp_path / "a.json", IMAGES)


def test_a_box_of_another_dataset_says_what_to_do(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{**RESULT, "image_id": 77}]))
    with pytest.raises(UserError) as raised:
        read_predictions(tmp_path / "a.json", IMAGES)
    assert raised.value.where == str(tmp_path / "a.json")
    assert "give the COCO file" in raised.value.next_step


def test_files_that_do_not_list_their_images_need_the_dataset(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UserError, match="does not say which images"):
        read_predictions(tmp_path / "a.json")


def test_boxes_as_fractions_are_refused_in_csv_and_results(tmp_path):
    name = IMAGES.file_names[0]
    (tmp_path / "a.json").write_text(json.dumps([{**RESULT, "bbox": [0.1, 0.2, 0.3, 0.4]}]))
    (tmp_path / "a.csv").write_text(f"PredictionString,image_id\n3 0.9 0.1 0.2 0.4 0.6,{name}\n")
    for file in ("a.json", "a.csv"):
        with pytest.raises(UserError, match="all 1 boxes look like fractions of the image"):
            read_predictions(tmp_path / file, IMAGES)
