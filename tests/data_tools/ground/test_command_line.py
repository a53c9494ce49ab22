"""A user's mistake ends with one message and status 2; a bug keeps its traceback."""

from __future__ import annotations

import pickle

import click
import pytest
from click.testing import CliRunner

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError


def group_raising(error: BaseException) -> click.Group:
    @click.group(cls=CommandGroup)
    def main() -> None:
        """Group."""

    @main.command()
    def go() -> None:
        """Fail."""
        raise error

    return main


def test_a_user_error_says_what_where_expected_and_next():
    error = UserError("it is wrong", where="a.json", expected="right", next_step="fix it")
    result = CliRunner().invoke(group_raising(error), ["go"])
    assert result.exit_code == 2
    expected = "it is wrong\n  where:    a.json\n  expected: right\n  next:     fix it\n"
    assert result.stderr == f"Error: {expected}"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file", "x.txt"), "check the spelling"),
        (OSError(28, "No space left on device", "out.json"), "free some space"),
        (PermissionError(13, "Permission denied", "out.json"), "check the permissions"),
        (NotADirectoryError(20, "Not a directory", "f/out"), "a file stands where a folder"),
        (FileExistsError(17, "File exists", "f"), "a file stands where a folder"),
    ],
)
def test_refusals_of_the_system_are_users_mistakes(error, text):
    result = CliRunner().invoke(group_raising(error), ["go"])
    assert result.exit_code == 2
    assert error.filename in result.stderr
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bug_is_not_dressed_up():
    result = CliRunner().invoke(group_raising(ZeroDivisionError("bug")), ["go"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_an_unknown_command_is_answered_with_the_known_ones():
    result = CliRunner().invoke(group_raising(UserError("x")), ["og"])
    assert result.exit_code == 2
    assert "no command 'og'; the commands are: go" in result.stderr


def test_an_unknown_option_ends_with_status_2():
    result = CliRunner().invoke(group_raising(UserError("x")), ["go", "--fast"])
    assert result.exit_code == 2
    assert "--fast" in result.stderr


def test_a_user_error_crosses_process_boundaries():
    error = UserError("a", where="b", expected="c", next_step="d")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
