"""The measured claim about mosaics runs and prints its ratios."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from benchmarks import mosaic


@pytest.mark.slow
def test_quick_run_prints_every_pipeline_and_ratio():
    result = CliRunner().invoke(mosaic.main, ["--quick"], catch_exceptions=False)
    assert result.exit_code == 0
    names = ("ours: plain", "ours: mosaic + affine", "mmdet: Mosaic + affine", "mmdet: Cached")
    assert all(name in result.output for name in names)
    assert len(re.findall(r"\d+\.\d\d x", result.output)) == 6
