"""JSON files of a run folder: checked when read, whoever wrote them."""

from __future__ import annotations

import pytest

from data_tools.ground.errors import UserError
from models.engine.runs.files import ConfigFile, FinishedFile, MicroBatchNote, RunFile, read_checked
from tests.builders.malformed import MALFORMED


@pytest.mark.parametrize("kind", [RunFile, ConfigFile, FinishedFile, MicroBatchNote])
@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: repr(content[:16]))
def test_what_is_no_such_file_is_named(tmp_path, kind, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_checked(path, kind)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (ConfigFile, '{"classes": 3}', "`classes` is 3, expected a list"),
        (ConfigFile, '{"image_size_wh": [64]}', "`image_size_wh` is [64], expected 2 or more"),
        (RunFile, '{"data": {"a": 1}}', "`data.a` is 1, expected a mapping"),
        (RunFile, '{"fold": "3"}', '`fold` is "3", expected a whole number'),
        (FinishedFile, '{"epoch": 1, "val": []}', "`val` is [], expected a mapping"),
        (MicroBatchNote, "{}", "`micro_batch` is missing"),
        (ConfigFile, '{"precision": "fp8"}', "`precision` is"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(tmp_path, kind, text, fault):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_checked(path, kind)
    assert fault in caught.value.what


def test_what_a_file_says_beyond_that_stays(tmp_path):
    path = tmp_path / "finished.json"
    path.write_text('{"epoch": 2, "val": {"map": 0.5}, "more": 1}')
    assert read_checked(path, FinishedFile) == {"epoch": 2, "val": {"map": 0.5}, "more": 1}
