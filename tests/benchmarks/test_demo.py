"""The timing of the demo: which line starts which step, and how long each one took."""

from __future__ import annotations

import pytest

from benchmarks.demo import durations, step_name
from tests.builders.demo import run_in


def test_nothing_printed_takes_no_step():
    assert durations([(1.0, "only a message")]) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("drawn: 560 training images", None),
        ("  python -m models train yolox --resume", None),
        (".venv/bin/python -m data_tools sample --out sample", "data_tools sample"),
        (
            '.venv/bin/python -m models train yolox --name yolox --data "sample" \\',
            "models train yolox",
        ),
        (
            '.venv/bin/python -m models predict "work/runs/tood_dcn/fold3" --split val --data "s"',
            "models predict tood_dcn val",
        ),
        (
            '.venv/bin/python -m ensemble fuse "work/runs/yolox/fold3/predictions/val.parquet"',
            "ensemble fuse",
        ),
    ],
)
def test_a_step_is_named_by_what_make_prints(line, expected):
    assert step_name(line) == expected


def test_a_step_lasts_until_the_next_one_starts():
    stamped = [
        (0.5, ".venv/bin/python -m data_tools sample --out sample"),
        (4.0, "drawn"),
        (4.5, ".venv/bin/python -m submit write work/ensemble/test.parquet"),
        (6.0, "Hand in: work/submission.csv"),
    ]
    # 4.5 - 0.5 = 4 s of drawing, 6 - 4.5 = 1.5 s of writing.
    assert durations(stamped) == [("data_tools sample", 4.0), ("submit write", 1.5)]


def test_trainings_side_by_side_last_until_their_own_last_line():
    stamped = [
        (0.0, "OMP_NUM_THREADS=1 .venv/bin/python -m models train yolox --name yolox"),
        (0.0, "OMP_NUM_THREADS=1 .venv/bin/python -m models train tood --name tood"),
        (5.0, "yolox | best epoch 1"),
        (7.0, "tood | best epoch 1"),
        (7.0, '.venv/bin/python -m models predict "work/runs/tood/fold3" --split val'),
        (9.0, "done"),
    ]
    assert durations(stamped) == [
        ("models train yolox", 5.0),
        ("models train tood", 7.0),
        ("models predict tood val", 2.0),
    ]


@pytest.mark.slow
def test_every_step_of_a_real_run_is_recognised(demo):
    planned = run_in(demo.root, "make", "-n", "submit", "WORK=elsewhere")
    steps = [name for line in planned.stdout.splitlines() if (name := step_name(line))]
    assert [name for name in steps if name.startswith("models train")] == [
        "models train retinanet",
        "models train tood_dcn",
        "models train yolox",
    ]
    assert sum(name.startswith("models predict") for name in steps) == 3
