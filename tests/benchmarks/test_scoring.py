"""The measured claim about scoring runs, with answers equal to its peers'."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from benchmarks import scoring


def test_quick_run_prints_every_peer_with_the_same_answer(monkeypatch):
    # The random scene, so that the test runs where the real data are not.
    monkeypatch.setattr(scoring, "REAL_DATA", Path("nowhere"))
    result = CliRunner().invoke(scoring.main, ["--quick"], catch_exceptions=False)
    assert result.exit_code == 0
    rows = re.findall(
        r"^(competition_map50|COCO) +(\S+) .* (\d\.?\d*)x? +(\S+)$", result.output, re.M
    )
    assert [row[1] for row in rows] == ["map-boxes", "pycocotools", "faster-coco-eval", "hotcoco"]
    differences = {name: float(difference) for _, name, _, difference in rows}
    assert differences.pop("hotcoco") < 1e-4  # off by its rounding
    assert max(differences.values()) < 1e-9
    assert "CPU per variant, once matched" in result.output
