"""The quick form of the simulation of intervals, and that its truth is what it says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks.intervals import MOST_TRUTH, draw_population, scorers


def test_quick_run_prints_overall_and_classes(repository):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.intervals", "--quick"],
        cwd=repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    names = [row[0].strip() for row in rows]
    assert names[:2] == ["score of", "competition mAP50"]
    start = names.index("difference of")
    for table in (rows[:start], rows[start:]):
        held = [float(row[2]) for row in table[1:] if row[2].strip() != "none"]
        assert len(held) >= 4 and min(held) > 0.6
        few = next(row for row in table if "truth in 1 to 6 images" in row[0])
        plain = few[3] if len(few) == 4 else few[4]
        assert few[2].strip() == "none" and 0 <= float(plain) < 1  # the plain interval is there


def test_boxes_of_an_image_never_overlap_and_detectors_are_equally_good():
    truth, first, second = draw_population(1500)
    for boxes in (truth, first, second):
        assert len(np.unique(np.stack([boxes.images, boxes.places]), axis=1).T) == len(boxes.places)
    assert truth.places.max() < MOST_TRUTH
    pair = scorers(np.arange(1500), truth, first, second)
    assert 0.4 < pair[0].values()[0] < 0.8
    assert abs(pair[1].values()[0] - pair[0].values()[0]) < 0.03
