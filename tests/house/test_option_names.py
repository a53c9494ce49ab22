"""One name per meaning over all command lines; former names end with the present one."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.builders.packages import command_line, commands

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = {f"{package} {name}": command for (package, name), command in commands().items()}
FORMER = [
    (*where.split(), former, present)
    for where, command in COMMANDS.items()
    for former, present in command.renamed.items()
]
# Names that nothing may have any more, for they said something else elsewhere or several things.
GONE = {"--force", "--force-leaked", "--bootstrap", "--image-root", "--validation"}


def options_of(command: click.Command) -> dict[str, click.Option]:
    return {
        name: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def test_there_are_former_names_to_ask_about():
    assert len(FORMER) > 10


@pytest.mark.parametrize(("package", "name", "former", "present"), FORMER)
def test_a_former_name_is_refused_with_the_present_one(package, name, former, present):
    options = options_of(COMMANDS[f"{package} {name}"])
    assert present.split()[0] in options
    assert former not in options
    # `--json FILE`: where any number of arguments may come, a .json file; else one too many.
    words = former.replace("FILE", "out.json").split()
    if " " in former:
        words = ["a", *words, *(["--truth", "t.json"] if "--truth" in options else [])]
    outcome = CliRunner().invoke(command_line(package), [name, *words])
    assert outcome.exit_code == 2
    assert f"{former} is called {present} now" in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(("package", "name", "former", "present"), FORMER)
def test_the_changelog_names_it(package, name, former, present):
    lines = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if f"| `{former}` | `{present}` |" in line]
    assert any(f"`{package} {name}`" in row for row in rows)


def test_an_option_is_a_flag_everywhere_or_nowhere():
    kinds: dict[str, set[bool]] = {}
    for command in COMMANDS.values():
        for name, option in options_of(command).items():
            kinds.setdefault(name, set()).add(option.is_flag)
    assert [name for name, found in kinds.items() if len(found) > 1] == []
    assert not GONE & set(kinds)


@pytest.mark.parametrize("where", COMMANDS)
def test_every_option_says_what_it_does(where):
    options = options_of(COMMANDS[where]).items()
    assert [name for name, option in options if not option.help] == []


@pytest.mark.parametrize("where", COMMANDS)
def test_no_number_may_be_greater_than_any_machine_could_follow(where):
    whole = {
        name: option.type
        for name, option in options_of(COMMANDS[where]).items()
        if isinstance(option.type, click.types.IntParamType)
    }
    unbounded = [name for name, kind in whole.items() if getattr(kind, "max", None) is None]
    assert unbounded == []


@pytest.mark.parametrize("samples", ["99", "1000000000"])
def test_a_number_beyond_the_limit_is_a_message(samples):
    command = ["compare", "a", "b", "--samples", samples]
    result = CliRunner().invoke(command_line("experiments"), command)
    assert result.exit_code == 2
    expected = f"Invalid value for '--samples': {samples} is not in the range 100<=x<=10000."
    assert expected in result.output
