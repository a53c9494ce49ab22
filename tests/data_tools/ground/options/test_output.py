"""`--json` prints one document and nothing else; `--json-out FILE` writes the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError
from data_tools.ground.options.output import (
    Result,
    json_value,
    output_options,
    without_output_options,
)


@dataclass(frozen=True)
class Counted:
    path: Path
    boxes: tuple[int, ...]


def group_of(result: Result | None = None, error: UserError | None = None) -> click.Group:
    @click.group(cls=CommandGroup)
    def main() -> None:
        """Group."""

    @main.command(renamed={"--json FILE": "--json-out FILE"})
    @click.argument("names", nargs=-1)
    @output_options
    def go(names: tuple[str, ...]) -> Result:
        """Print on the way, then hand the result back."""
        print("on the way")  # noqa: T201 - what a library might do
        if error:
            raise error
        return result

    return main


def test_nothing_becomes_null():
    assert json_value(None) is None
    outcome = CliRunner().invoke(group_of(Result(None, "")), ["go"])
    assert outcome.stdout == "on the way\n"  # an empty text is not even an empty line


def test_values_become_what_json_has():
    value = {"a": Counted(Path("x/y"), (1, 2)), 3: np.float32(0.5), "n": float("nan")}
    assert json_value(value) == {"a": {"path": "x/y", "boxes": [1, 2]}, "3": 0.5, "n": None}
    assert json_value(np.array([[1, 2]])) == [[1, 2]]


def test_people_get_the_text_and_programs_only_the_document(tmp_path):
    main = group_of(Result({"boxes": 2}, "two boxes", exit_status=2))
    plain = CliRunner().invoke(main, ["go"])
    assert (plain.exit_code, plain.stdout) == (2, "on the way\ntwo boxes\n")
    out = tmp_path / "out.json"
    printed = CliRunner().invoke(main, ["go", "--json", "--json-out", str(out)])
    assert printed.exit_code == 2
    assert json.loads(printed.stdout) == {"boxes": 2} == json.loads(out.read_text())
    assert printed.stderr == "on the way\n"


def test_a_mistake_leaves_stdout_empty_and_writes_nothing(tmp_path):
    main = group_of(error=UserError("it is wrong"))
    out = tmp_path / "out.json"
    outcome = CliRunner().invoke(main, ["go", "--json", "--json-out", str(out)])
    assert (outcome.exit_code, outcome.stdout, out.exists()) == (2, "", False)
    assert "it is wrong" in outcome.stderr


def test_the_result_never_replaces_a_file_that_is_read(tmp_path):
    read = tmp_path / "read.json"
    read.write_text("{}")
    found = tmp_path / "found.json"
    main = group_of(Result(1, "one", files=(found,)))
    for words in (["go", str(read), "--json-out", str(read)], ["go", "--json-out", str(found)]):
        outcome = CliRunner().invoke(main, words)
        assert outcome.exit_code == 2
        assert "would replace a file that is read" in outcome.stderr
    assert read.read_text() == "{}"


def test_the_former_json_file_is_refused_with_the_present_name():
    main = group_of(Result(1, "one"))
    outcome = CliRunner().invoke(main, ["go", "a", "--json", "out.json"])
    assert outcome.exit_code == 2
    assert "--json FILE is called --json-out FILE now" in outcome.stderr
    assert CliRunner().invoke(main, ["go", "--json", "a"]).exit_code == 0


@pytest.mark.parametrize("print_in_child", [True, False])
def test_child_processes_keep_stdout_free_too(print_in_child):
    child = "subprocess.run([sys.executable, '-c', 'print(\"on the way\")'])"
    code = f"""
import click, subprocess, sys
from data_tools.ground.options.output import Result, output_options
@click.command()
@output_options
def go():
    {child if print_in_child else "print('on the way')"}
    return Result([1], 'one')
go()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [1]
    assert done.stderr == "on the way\n"


def test_other_processes_of_a_command_do_not_obey_its_output_options():
    words = ["train", "--json", "ssd", "--json-out", "a.json", "--json-out=b.json", "--fold", "3"]
    assert without_output_options([]) == []
    assert without_output_options(words) == ["train", "ssd", "--fold", "3"]
