"""Several files scored side by side."""

import numpy as np
import pytest

from data_tools.coco.dataset import coco_from_dict, write_coco
from data_tools.ground.errors import UserError
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import predictions_from_rows
from submit.scores.table import score_table, table_text


@pytest.fixture
def truth_file(tmp_path):
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in (1, 2)]
    boxes = [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 20, 20]},
        {"id": 2, "image_id": 2, "category_id": 7, "bbox": [50, 50, 40, 40]},
    ]
    dataset = coco_from_dict(
        {"images": images, "annotations": boxes, "categories": [{"id": 7, "name": "can"}]}
    )
    write_coco(tmp_path / "truth.json", dataset)
    return tmp_path / "truth.json"


def write_member(path, provenance, *, both):
    """Write one right box on image 1, and on image 2 as well when `both`."""
    count = 2 if both else 1
    predictions = predictions_from_rows(
        np.array([1, 2]),
        np.array([1, 2][:count]),
        np.full(count, 7),
        np.full(count, 0.5),
        np.array([[10, 10, 30, 30], [50, 50, 90, 90]][:count], dtype=float),
        provenance=provenance,
    )
    write_predictions(path, predictions)
    return path


def test_no_file_gives_an_empty_table(truth_file):
    assert score_table([], truth_file) == []
    assert len(table_text([]).splitlines()) == 1


def test_the_fusion_is_compared_with_its_best_member(tmp_path, truth_file):
    # One of two truths found with no false positive is AP .5; both found is AP 1.
    yolox, tood = Provenance(run="yolox"), Provenance(run="tood")
    files = [
        write_member(tmp_path / "a.parquet", yolox, both=False),
        write_member(tmp_path / "b.parquet", tood, both=False),
        write_member(
            tmp_path / "c.parquet", Provenance(model="wbf", members=(yolox, tood)), both=True
        ),
    ]
    rows = score_table(files, truth_file)
    assert [row.result["competition_map50"] for row in rows] == [0.5, 0.5, 1.0]
    text = table_text(rows)
    assert [line.split()[0] for line in text.splitlines()[:4]] == [
        "predictions", "yolox", "tood", "wbf",
    ]  # fmt: skip
    assert "wbf of 2: +0.5000 competition_map50 against its best member here, yolox" in text
    assert "LEAKED" not in text


def test_a_member_that_saw_a_scored_image_is_marked(tmp_path, truth_file):
    leaking = Provenance(run="yolox", train_file_names=("1.jpg",))
    file = write_member(tmp_path / "a.parquet", leaking, both=False)
    text = table_text(score_table([file], truth_file))
    assert "LEAKED" in text.splitlines()[1]
    assert "1 of 2 scored images were trained on" in text


def test_a_missing_file_is_an_error(tmp_path, truth_file):
    with pytest.raises(UserError, match="does not exist"):
        score_table([tmp_path / "none.parquet"], truth_file)


def test_two_files_of_one_run_are_told_apart_by_their_paths(tmp_path, truth_file):
    files = [
        write_member(tmp_path / f"{name}.parquet", Provenance(run="yolox"), both=False)
        for name in ("epoch1", "epoch2")
    ]
    names = [row.name for row in score_table(files, truth_file)]
    assert names == [f"yolox ({files[0]})", f"yolox ({files[1]})"]


def test_a_file_that_is_no_member_is_not_called_one(tmp_path, truth_file):
    fusion = Provenance(model="wbf", members=(Provenance(run="yolox"), Provenance(run="tood")))
    files = [
        write_member(tmp_path / "a.parquet", Provenance(run="ssd"), both=True),
        write_member(tmp_path / "b.parquet", fusion, both=True),
    ]
    assert "best member" not in table_text(score_table(files, truth_file))


def test_a_gain_over_a_leaking_member_is_marked(tmp_path, truth_file):
    leaking = Provenance(run="yolox", train_file_names=("1.jpg",))
    files = [
        write_member(tmp_path / "a.parquet", leaking, both=False),
        write_member(tmp_path / "b.parquet", Provenance(model="w", members=(leaking,)), both=True),
    ]
    text = table_text(score_table(files, truth_file))
    assert text.endswith("against its best member here, yolox  LEAKED")
