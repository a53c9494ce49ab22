"""A short, seeded part of `make torture`, and how it finds commands and lines."""

from __future__ import annotations

from tests.robustness.commands import every_command
from tests.robustness.lines import NEVER, candidate_lines


def test_every_command_is_found_and_has_a_line():
    commands = every_command()
    assert {"data_tools split", "submit score", "ensemble fuse", "models train"} <= {
        command.name for command in commands
    }
    having = {line.command.name for line in candidate_lines(commands)}
    assert sorted({command.name for command in commands} - having - set(NEVER)) == []
