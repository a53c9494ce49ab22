"""Whether a step is to be done again: by content, never by date."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from data_tools.ground.paths import WorkPaths
from tests.builders.damage import JSON, damages
from workflow.records import expected_seconds, read_record, reason_to_run, write_record
from workflow.step import Step, files_among


def step_in(folder, *flags, name="fuse"):
    source, target = folder / "in.txt", folder / "out.txt"
    return Step(
        kind=name,
        subject="val",
        fold=3,
        arguments=("-m", "x", str(source), "--out", str(target), "--run", f"{folder}/r", *flags),
        inputs={"member a": source, **files_among(flags)},
        outputs={"result": target},
        places={"work": folder},
    )


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "in.txt").write_text("1")
    (folder / "out.txt").write_text("2")
    return folder


def reason(work, step):
    return reason_to_run(step, read_record(WorkPaths(work), step.key))


def test_what_was_never_done_is_to_be_done(work):
    assert reason(work, step_in(work)) == "nothing says how what is there was made"
    (work / "out.txt").unlink()
    assert reason(work, step_in(work)) == "not done yet"


def test_what_was_done_is_done_also_touched_and_copied(work, tmp_path):
    write_record(WorkPaths(work), step_in(work), 1.5)
    assert reason(work, step_in(work)) is None
    os.utime(work / "in.txt", (1, 1))
    assert reason(work, step_in(work)) is None
    copy = shutil.copytree(work, tmp_path / "copy of it")
    assert reason(copy, step_in(copy)) is None


def test_a_changed_input_output_setting_or_role_is_a_reason(work):
    write_record(WorkPaths(work), step_in(work), 1.5)
    assert reason(work, step_in(work, "--iou", "0.5")) == "other settings"
    roles = {"member b": work / "in.txt"}
    assert reason(work, replace(step_in(work), inputs=roles, arguments=())) == "other settings"
    same_words = replace(step_in(work), inputs={"member a": work / "in.txt", "b": work / "in.txt"})
    assert reason(work, same_words) in ("other settings", "other inputs")
    (work / "in.txt").write_text("other")
    assert reason(work, step_in(work)) == f"{work}/in.txt has changed"
    (work / "in.txt").write_text("1")
    (work / "out.txt").write_text("other")
    assert reason(work, step_in(work)) == f"{work}/out.txt has changed"


def test_files_that_options_name_count_by_their_content(work):
    tuned = work / "tuned.json"
    tuned.write_text("a")
    step = step_in(work, f"--settings={tuned}")
    write_record(WorkPaths(work), step, 1)
    assert reason(work, step) is None
    tuned.write_text("b")
    assert reason(work, step) == f"{tuned} has changed"


def test_a_damaged_record_is_as_good_as_none(work):
    step = step_in(work)
    write_record(WorkPaths(work), step, 1)
    path = WorkPaths(work).record_json(step.key)
    content, right = path.read_bytes(), read_record(WorkPaths(work), step.key)
    assert right is not None
    valid = [("inputs", "a mapping"), ("outputs", "a mapping"), ("settings", "a list")]
    valid += [("seconds", "a number"), ("seconds", "huge")]
    texts = ("kind", "settings[0]", "inputs.member a", "outputs.result")
    for damage in damages(path, JSON):
        damage.apply(path)
        found = read_record(WorkPaths(work), step.key)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(content)
        # Of another text or time it is a record too: of another step, which is done again.
        is_valid = (damage.key, damage.kind) in valid or (
            damage.kind == "missing" and "puts." in damage.key
        )
        is_valid |= damage.kind == "a text" and damage.key in texts
        assert found is None or is_valid, damage


def test_the_time_is_that_of_the_step_else_of_its_kind(work):
    there = WorkPaths(work)
    step = step_in(work)
    assert expected_seconds(there, step) is None
    write_record(there, replace(step, subject="a"), 10)
    write_record(there, replace(step, subject="b"), 20)
    assert expected_seconds(there, step) == 15
    write_record(there, step, 3)
    assert expected_seconds(there, step) == 3
