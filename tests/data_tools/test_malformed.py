"""Files that the kit wrote and somebody damaged: a message with file and key, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_tools.coco.dataset import coco_from_dict, read_coco
from data_tools.coco.note import note_of
from data_tools.coco.workspace import data_root_of
from data_tools.folds.split import read_split
from data_tools.ground.errors import UserError
from data_tools.ground.paths import DataPaths, WorkPaths
from data_tools.predictions.coco_results import read_coco_results
from data_tools.predictions.files import read_predictions
from data_tools.sample.dataset import SampleParameters, write_sample
from tests.builders.malformed import MALFORMED

NOTHING = {"images": [], "annotations": [], "categories": []}
SMALL = SampleParameters(train_images=1, test_images=1, size=64, seed=1)


def claim(path: Path) -> None:
    data_root_of(WorkPaths(path.parent))


def sample(path: Path) -> None:
    write_sample(path.parent, SMALL, tick=lambda: None)


READERS = {
    "split.json": read_split,
    "dataset.json": claim,
    "sample.json": sample,
    "train.json": read_coco,
    "results.json": lambda path: read_coco_results(path, coco_from_dict(NOTHING)),
}
IS_A_VALUE_OF = {("results.json", b"[]")}  # no boxes at all are results, too


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: repr(content[:16]))
def test_json_files(tmp_path, name, content):
    if (name, content) in IS_A_VALUE_OF:
        assert len(READERS[name](write(tmp_path / name, content)).scores) == 0
        return
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        READERS[name](path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("dataset.json", {"data": 3, "sha256": {}, "is_sample": False}, "`data` is 3"),
        ("dataset.json", {"data": "d", "sha256": [], "is_sample": False}, "`sha256` is []"),
        ("dataset.json", {"data": "d", "sha256": {"a": 1}, "is_sample": 0}, "`sha256.a` is 1"),
        ("sample.json", {}, "`parameters` is missing"),
        ("sample.json", {"parameters": {"size": "x"}}, '`parameters.size` is "x"'),
        ("sample.json", {"parameters": {"sise": 1}}, "did you mean `size`?"),
    ],
)
def test_values_of_another_kind(tmp_path, name, content, fault):
    path = write(tmp_path / name, json.dumps(content).encode())
    with pytest.raises(UserError) as caught:
        READERS[name](path)
    assert fault in caught.value.what
    assert caught.value.where == str(path)


def test_a_damaged_marker_of_the_sample_is_replaced_on_request(tmp_path):
    write(tmp_path / "sample.json", b"[]")
    assert write_sample(tmp_path, SMALL, overwrite=True, tick=lambda: None) == "drawn"
    assert write_sample(tmp_path, SMALL, tick=lambda: None) == "kept"
    assert DataPaths(tmp_path).train_json.is_file()


@pytest.mark.parametrize(
    ("note", "fault"),
    [
        ([], "`info.boxcamp` is [], expected a mapping"),
        ({"round": "one"}, '`info.boxcamp.round` is "one", expected a whole number'),
        ({"leaked": "yes"}, '`info.boxcamp.leaked` is "yes", expected a list'),
        (
            {"teacher_file_names": [1]},
            "`info.boxcamp.teacher_file_names[0]` is 1, expected text",
        ),
        ({"chain": [3]}, "`info.boxcamp.chain[0]` is 3, expected a mapping"),
    ],
)
def test_the_note_of_a_coco_file(note, fault):
    with pytest.raises(UserError) as caught:
        note_of(coco_from_dict({"images": [], "info": {"boxcamp": note}}))
    assert caught.value.what == fault


GOOD = {"image_ids": [1, 2], "provenance": {}}
COLUMNS: dict[str, list] = {
    "image_id": [1], "label": [0], "score": [0.5], "xmin": [0.0], "ymin": [0.0], "xmax": [1.0],
    "ymax": [1.0], "view": [0],
}  # fmt: skip


def predictions_file(path: Path, metadata: object = GOOD, **changed: list) -> Path:
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    table = pa.table({**COLUMNS, **changed}).replace_schema_metadata({b"boxcamp": text})
    pq.write_table(table, path)
    return path


def test_the_file_that_is_damaged_below_is_right(tmp_path):
    assert len(read_predictions(predictions_file(tmp_path / "a.parquet"))) == 1


@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: repr(content[:16]))
def test_metadata_that_is_none(tmp_path, content):
    path = predictions_file(tmp_path / "a.parquet", content)
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    assert f"{path}, metadata `boxcamp`" in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({"image_ids": [1]}, "`provenance` is missing"),
        ({**GOOD, "image_ids": 3}, "`image_ids` is 3, expected a list"),
        ({**GOOD, "image_ids": ["1"]}, '`image_ids[0]` is "1", expected a whole number'),
        ({**GOOD, "image_ids": [2**70]}, "`image_ids[0]` is 1180591620717411303424, expected"),
        ({**GOOD, "provenance": []}, "`provenance` is [], expected a mapping"),
        (
            {**GOOD, "provenance": {"members": [{"fold": "x"}]}},
            '`provenance.members[0].fold` is "x", expected a whole number',
        ),
        ({**GOOD, "provenance": {"views": 1}}, "`provenance.views` is 1, expected a list"),
    ],
)
def test_metadata_of_another_kind(tmp_path, metadata, fault):
    with pytest.raises(UserError) as caught:
        read_predictions(predictions_file(tmp_path / "a.parquet", metadata))
    assert fault in caught.value.what


@pytest.mark.parametrize(
    ("name", "values", "fault"),
    [
        ("score", ["high"], "the column `score` is of type string"),
        ("score", [None], "the column `score` is of type null with 1 missing"),
        ("label", [0.5], "the column `label` is of type double"),
        ("image_id", ["1"], "the column `image_id` is of type string"),
        ("view", [300], "the column `view` is out of range"),
        ("xmin", [[1.0]], "the column `xmin` is of type list"),
        ("image_id", [7], "image"),
        ("score", [float("nan")], "score"),
    ],
)
def test_columns_of_another_kind(tmp_path, name, values, fault):
    path = predictions_file(tmp_path / "a.parquet", **{name: values})
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    assert fault in caught.value.what
    assert str(path) in str(caught.value)
