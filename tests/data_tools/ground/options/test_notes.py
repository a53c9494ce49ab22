"""What was assumed is said once, under the command's result and in its JSON."""

from __future__ import annotations

import json

import click
from click.testing import CliRunner

from data_tools.ground.options.notes import assume, collected_notes
from data_tools.ground.options.output import Result, output_options


@click.command()
@click.option("--times", default=0)
@output_options
def command(times: int) -> Result:
    for _ in range(times):
        assume("a.csv: 2 labels are written 7.0")
    return Result({"boxes": 3}, "3 boxes")


def test_nothing_assumed_says_nothing():
    result = CliRunner().invoke(command, ["--json"])
    assert (json.loads(result.stdout), result.stderr) == ({"boxes": 3}, "")


def test_an_assumption_is_said_once_on_stderr_and_stands_in_the_json():
    result = CliRunner().invoke(command, ["--times", "2", "--json"])
    note = "a.csv: 2 labels are written 7.0"
    assert json.loads(result.stdout) == {"boxes": 3, "notes": [note]}
    assert result.stderr == f"note: {note}\n"


def test_one_collection_does_not_hear_another():
    with collected_notes() as first:
        assume("one")
    with collected_notes() as second:
        assume("two")
    assert (first, second) == (["one"], ["two"])
