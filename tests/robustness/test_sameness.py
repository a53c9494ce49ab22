"""What counts as the same after a kill: everything but times, tensors bit for bit."""

from __future__ import annotations

import io
import json

import torch

from tests.robustness.sameness import equal, is_between


def checkpoint(**content: object) -> bytes:
    target = io.BytesIO()
    torch.save(content, target)
    return target.getvalue()


def test_a_missing_file_is_not_the_same():
    assert not equal("run.json", None, b"", volatile=True)


def test_bytes_count_where_nothing_differs_by_itself():
    assert equal("x", b"a", b"a", volatile=False)
    assert not equal("run.json", b"{} ", b"{}", volatile=False)


def test_times_of_a_record_may_differ():
    one, other = ({"started": time, "data": {"seconds": time, "seed": 1}} for time in (1, 2))
    assert equal("run.json", json.dumps(one).encode(), json.dumps(other).encode(), volatile=True)
    wrong = {**one, "data": {"seed": 2}}
    assert not equal(
        "run.json", json.dumps(wrong).encode(), json.dumps(one).encode(), volatile=True
    )


def test_a_step_logged_twice_counts_as_its_later_line():
    lines = [{"kind": "step", "epoch": 0, "step": 1, "loss": loss} for loss in (3.0, 2.0)]
    whole = json.dumps(lines[1]).encode()
    twice = b"\n".join(json.dumps(line).encode() for line in lines)
    assert equal("metrics.jsonl", twice, whole, volatile=True)
    assert not equal("metrics.jsonl", b"", whole, volatile=True)


def test_tensors_are_compared_bit_for_bit():
    zero, minus_zero = (checkpoint(w=torch.tensor([value]), time=1) for value in (0.0, -0.0))
    assert equal("last.pt", checkpoint(w=torch.tensor([0.0]), time=2), zero, volatile=True)
    assert not equal("last.pt", minus_zero, zero, volatile=True)
    assert not equal("last.pt", checkpoint(time=1), zero, volatile=True)


def test_files_of_a_run_may_be_of_an_earlier_epoch_if_they_are_whole():
    run = "work/runs/a/fold0"
    whole = checkpoint(w=torch.zeros(3))
    assert is_between(f"{run}/checkpoints/last.pt", whole)
    assert not is_between(f"{run}/checkpoints/last.pt", whole[:-30])
    assert is_between(f"{run}/run.json", b"{}")
    assert not is_between(f"{run}/run.json", b'{"a": ')
    assert not is_between(f"{run}/predictions/val.parquet", b"PAR1 cut off")
    assert not is_between("out/x.json", b"{}")


def test_a_run_that_no_resuming_repeats_must_only_be_there():
    name = "work/runs/unrepeatable/fold3/finished.json"
    assert equal(name, b"{}", b'{"best": 1}', volatile=False)
    assert not equal(name, None, b"{}", volatile=False)
    assert is_between("work/runs/unrepeatable/fold3/args.yaml", b"half a li")
    assert not is_between(name, b'{"best"')
