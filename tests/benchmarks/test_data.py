"""The benchmark of splits and duplicate search runs and compares equal answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_quick_benchmark_prints_every_ratio():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.data", "--quick"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ratio") == 5
    assert "the same found by both" in done.stdout
