"""The version is stated once; every command line and the package's metadata read it there."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_tools.ground.version import VERSION
from tests.builders.packages import PACKAGES, WITH_COMMANDS, command_line

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_every_command_line_says_it(package):
    outcome = CliRunner().invoke(command_line(package), ["--version"])
    assert (outcome.exit_code, outcome.stdout) == (0, f"boxcamp, version {VERSION}\n")


def test_the_metadata_reads_it():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    module, _, name = project["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    assert getattr(importlib.import_module(module), name) == VERSION


def test_no_other_file_of_the_packages_states_one():
    stated = re.compile(r"^\w*VERSION\w* = [\"']\d", re.MULTILINE)
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    found = [path.name for path in files if stated.search(path.read_text(encoding="utf-8"))]
    assert found == ["version.py"]
