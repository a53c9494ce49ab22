"""A short, seeded part of `make torture`, and how it finds commands and lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.robustness.commands import every_command
from tests.robustness.lines import NEVER, candidate_lines

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_command_is_found_and_has_a_line():
    commands = every_command()
    assert {"data_tools split", "submit score", "ensemble fuse", "models train"} <= {
        command.name for command in commands
    }
    having = {line.command.name for line in candidate_lines(commands)}
    assert sorted({command.name for command in commands} - having - set(NEVER)) == []


@pytest.mark.slow
def test_a_short_torture_finds_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.robustness", "--calls", "120", "--seed", "411", "--jobs", "1",
         "--no-models", "--options", "0", "--lines", "1", "--findings", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads((tmp_path / "summary.json").read_text())
    assert sum(tally["done"].values()) >= 120
    assert tally["done"]["kills"] > 0
    assert "without a line that works" not in done.stdout
