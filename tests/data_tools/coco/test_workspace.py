"""One work folder belongs to one dataset."""

import json
from pathlib import Path

import pytest

from data_tools.coco.workspace import claim_work_folder, data_root_near, data_root_of
from data_tools.ground.errors import UserError
from data_tools.ground.paths import DataPaths, WorkPaths


def make_data(root, content="{}", *, is_sample=False):
    root.mkdir()
    (root / "train.json").write_text(content)
    (root / "test.json").write_text("{}")
    if is_sample:
        (root / "sample.json").write_text("{}")
    return DataPaths(root)


def test_an_empty_work_folder_is_claimed_and_stays_so(tmp_path):
    data, work = make_data(tmp_path / "data"), WorkPaths(tmp_path / "work")
    assert claim_work_folder(data, work).status == "new"
    before = work.dataset_json.stat().st_mtime_ns
    assert claim_work_folder(data, work).status == "same"
    assert work.dataset_json.stat().st_mtime_ns == before


def test_a_copy_of_the_dataset_elsewhere_is_the_same_dataset(tmp_path):
    work = WorkPaths(tmp_path / "work")
    claim_work_folder(make_data(tmp_path / "data"), work)
    assert claim_work_folder(make_data(tmp_path / "copy"), work).status == "same"


def test_work_of_the_sample_gives_way_to_a_real_dataset(tmp_path):
    work = WorkPaths(tmp_path / "work")
    claim_work_folder(make_data(tmp_path / "sample", is_sample=True), work)
    (work.root / "submission.csv").write_text("old")
    claim = claim_work_folder(make_data(tmp_path / "data", '{"a": 1}'), work)
    assert claim.status == "moved"
    assert claim.moved_to == tmp_path / "work-sample"
    assert (claim.moved_to / "submission.csv").read_text() == "old"
    assert not work.submission_csv.exists()
    assert json.loads(work.dataset_json.read_text())["is_sample"] is False


def test_a_second_sample_is_moved_beside_the_first(tmp_path):
    (tmp_path / "work-sample").mkdir()
    work = WorkPaths(tmp_path / "work")
    claim_work_folder(make_data(tmp_path / "sample", is_sample=True), work)
    claim = claim_work_folder(make_data(tmp_path / "data", '{"a": 1}'), work)
    assert claim.moved_to == tmp_path / "work-sample2"


def test_work_of_a_real_dataset_is_never_moved(tmp_path):
    work = WorkPaths(tmp_path / "work")
    claim_work_folder(make_data(tmp_path / "data"), work)
    with pytest.raises(UserError, match="holds work of another dataset") as caught:
        claim_work_folder(make_data(tmp_path / "other", '{"a": 1}'), work)
    assert "WORK=" in caught.value.next_step


def test_a_dataset_without_train_json_is_refused_and_nothing_is_written(tmp_path):
    data, work = make_data(tmp_path / "data"), WorkPaths(tmp_path / "work")
    data.train_json.unlink()
    with pytest.raises(UserError, match=r"has no train\.json"):
        claim_work_folder(data, work)
    assert not work.root.exists()


def test_test_json_may_come_later_but_then_it_stays_the_same(tmp_path):
    data, work = make_data(tmp_path / "data"), WorkPaths(tmp_path / "work")
    data.test_json.unlink()
    assert claim_work_folder(data, work).status == "new"
    data.test_json.write_text("{}")
    assert claim_work_folder(data, work).status == "same"
    data.test_json.write_text('{"images": []}')
    with pytest.raises(UserError, match="holds work of another dataset"):
        claim_work_folder(data, work)
    data.test_json.unlink()
    assert claim_work_folder(data, work).status == "same"


def test_a_work_folder_knows_its_dataset(tmp_path):
    work = WorkPaths(tmp_path / "work")
    assert data_root_of(work) == Path("data")
    assert data_root_near(work.fused("val")) == Path("data")
    claim_work_folder(make_data(tmp_path / "pictures"), work)
    assert data_root_of(work) == tmp_path / "pictures"
    assert data_root_near(work.fused("val")) == tmp_path / "pictures"


@pytest.mark.parametrize(
    "content", ["{broken", "[]", '{"sha256": {}}', '{"sha256": [], "data": "", "is_sample": true}']
)
def test_a_record_that_says_nothing_is_named_and_nothing_is_moved(tmp_path, content):
    data, work = make_data(tmp_path / "data", is_sample=True), WorkPaths(tmp_path / "work")
    work.root.mkdir()
    work.dataset_json.write_text(content)
    with pytest.raises(UserError) as caught:
        claim_work_folder(data, work)
    assert caught.value.where == str(work.dataset_json)
    assert work.dataset_json.read_text() == content
