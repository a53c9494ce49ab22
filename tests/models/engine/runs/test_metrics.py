"""metrics.jsonl read again, whatever became of it."""

from __future__ import annotations

import json

import pytest

from models.engine.runs.metrics import metric_lines
from models.engine.training.watching.metrics_log import truncate_metrics
from tests.builders.malformed import MALFORMED

STEP = {"kind": "step", "epoch": 0, "step": 1, "seconds": 1.5}
EPOCH = {"kind": "epoch", "epoch": 0, "step": 1, "seconds": 2.0, "val": {"competition_map50": 0.5}}


def test_no_file_and_an_empty_one(tmp_path):
    assert metric_lines(tmp_path / "metrics.jsonl") == ([], 0)
    (tmp_path / "metrics.jsonl").touch()
    assert metric_lines(tmp_path / "metrics.jsonl") == ([], 0)


@pytest.mark.parametrize(
    "content",
    [content for content in MALFORMED if content]
    + [
        json.dumps({**line, key: value}).encode()
        for line in (STEP, EPOCH)
        for key, value in (
            ("epoch", "0"), ("epoch", None), ("epoch", -1), ("epoch", 10**40), ("step", 1.5),
            ("seconds", "x"), ("seconds", float("nan")), ("seconds", None), ("seconds", 10**400),
        )
    ]
    + [
        json.dumps({**EPOCH, "val": value}).encode()
        for value in (None, [], {"competition_map50": "x"}, {"competition_map50": float("inf")})
    ],
    ids=lambda content: repr(content[:16]),
)  # fmt: skip
def test_a_damaged_line_is_counted_and_the_others_stay(tmp_path, content):
    path = tmp_path / "metrics.jsonl"
    whole = [json.dumps(line).encode() for line in (STEP, EPOCH)]
    path.write_bytes(b"\n".join([whole[0], content, whole[1]]) + b"\n")
    lines, torn = metric_lines(path)
    assert [line.record for line in lines] == [STEP, EPOCH]
    assert torn == 1
    # Resuming keeps what comes before its checkpoint, and the damage goes.
    truncate_metrics(path, step=1, epoch=1)
    assert path.read_bytes() == whole[0] + b"\n" + whole[1] + b"\n"
    truncate_metrics(path, step=0, epoch=0)
    assert path.read_bytes() == b""


def test_lines_of_another_kind_are_no_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "note"}\n')
    assert metric_lines(path) == ([], 0)
