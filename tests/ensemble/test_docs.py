"""The worked example of docs/fusion.md, run and done by hand; the benchmark in its quick form."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys

import pytest

from ensemble.one_image.wbf import weighted_boxes_fusion


def test_the_example_of_the_page_runs(repository):
    text = (repository / "docs" / "fusion.md").read_text(encoding="utf-8")
    example = doctest.DocTestParser().get_doctest(text, {}, "fusion.md", "fusion.md", 0)
    assert len(example.examples) >= 6
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize(
    ("conf_type", "by_hand"),
    [
        ("avg", 3.6 / 3 * min(3, 3) / 4),
        ("max", 1.8 / 2),
        ("box_and_model_avg", 3.6 / (2 + 2 + 1) * 3 / 4),
        ("absent_model_aware_avg", 3.6 / (2 + 2 + 1 + 1)),
    ],
)
def test_the_example_by_hand(conf_type, by_hand):
    boxes, scores, _ = weighted_boxes_fusion(
        [[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.54, 0.5]], [[0.14, 0.1, 0.5, 0.5]], []],
        [[0.9, 0.5], [0.8], []],
        [[0, 0], [0], []],
        weights=[2, 1, 1],
        iou_thr=0.6,
        conf_type=conf_type,
    )
    assert scores.tolist() == pytest.approx([by_hand], abs=1e-6)
    x1 = (1.8 * 0.10 + 1.0 * 0.10 + 0.8 * 0.14) / 3.6
    x2 = (1.8 * 0.50 + 1.0 * 0.54 + 0.8 * 0.50) / 3.6
    assert boxes[0].tolist() == pytest.approx([x1, 0.1, x2, 0.5], abs=1e-6)


@pytest.mark.slow
def test_the_benchmark_agrees_with_the_reference_and_is_far_ahead(repository):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fusion", "--quick", "--submissions", "nowhere"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\| 3 \|.* (\d+)x \| \d+x \| [\d.]+x \|$", done.stdout, re.MULTILINE)
    # Measured at about 100x; the bound leaves room for a busy machine.
    assert len(rows) == 1 and int(rows[0]) >= 10
    assert "CSV to CSV" in done.stdout and "ns per box" in done.stdout


@pytest.mark.slow
def test_drawn_images_fuse_as_in_the_reference(repository):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fusion_parity", "--quick"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| 100 |") == 4
