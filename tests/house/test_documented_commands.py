"""Every command in README, docs and --help runs, in the state after `make submit`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.demo import TINY_TRAINING, run_in
from tests.builders.documented_commands import (
    argv,
    commands_in_help,
    commands_in_markdown,
    join_continued_lines,
)
from tests.builders.packages import WITH_COMMANDS, command_line, is_rule_of_make

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page.relative_to(REPOSITORY).as_posix()
    for page in (
        REPOSITORY / "README.md",
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "models").glob("*/README.md"),
    )
)
# The front door's own rules have their own tests, and a page may not start the suite within it;
# benchmarks are run in their quick form by theirs.
RUN_ELSEWHERE = (
    "make test",
    "make lint",
    "make setup",
    "git clone",
    "cd ",
    "python -m benchmarks",
    "python -m pytest",
)


def run_all(root: Path, commands: list[str]) -> None:
    python = str(REPOSITORY / ".venv" / "bin" / "python")
    for command in commands:
        if command.startswith(RUN_ELSEWHERE):
            continue
        done = run_in(root, *argv(command, python, TINY_TRAINING))
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_a_block_without_commands_gives_none():
    assert join_continued_lines("\n# only a comment\n") == []


def test_continued_lines_are_one_command():
    assert join_continued_lines("make a \\\n    B=1\n$ make c") == ["make a B=1", "make c"]


@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_every_command_shows_an_example(package):
    examples = commands_in_help(command_line(package))
    assert examples, f"{package} has no commands"
    assert [name for name, commands in examples.items() if not commands] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_examples_in_help_run(package, demo, tmp_path):
    root = demo.copy_to(tmp_path / "workspace")
    found = commands_in_help(command_line(package)).items()
    examples = [lines for name, lines in found if not is_rule_of_make(package, name)]
    run_all(root, [line for lines in examples for line in lines])


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_of_page_run(page, demo, tmp_path):
    commands = commands_in_markdown(REPOSITORY / page)
    if commands:
        run_all(demo.copy_to(tmp_path / "workspace"), commands)
