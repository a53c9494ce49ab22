"""Run one rule: find its steps, show or do what is left of it, say what came of it."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console

from workflow.commands import Children, run_directly, shown
from workflow.display import Display
from workflow.execute import Executor, StepFailed, count, steps_to_do
from workflow.given.settings import Settings
from workflow.place import place_of
from workflow.rules import Stages, stages_of
from workflow.steps.data import preparation


def run(rule: str, settings: Settings, make_options: frozenset[str]) -> int:
    """Do what a rule of the Makefile says; return the exit status.

    Args:
        rule: its name.
        settings: the variables.
        make_options: make's one-letter options; `n` prints the commands and runs none.

    Raises:
        UserError: something that the rule needs is not there.
    """
    if make_options & {"q", "t"}:
        return 0  # make only asks or touches: there is nothing here to do so with
    place = place_of(settings)
    before: Stages = [(preparation(place, draw=rule == "sample"),)]
    if "n" in make_options:
        for step in steps_to_do(place, [*before, *stages_of(rule, place)]):
            click.echo(shown(step))
        return 0
    verbose = settings["V"] == "1"
    prepared = sum(count(stage) for stage in before)
    total = prepared + sum(count(stage) for stage in stages_of(rule, place))
    children = Children()
    try:
        with (
            _hearing_signals(children),
            Display(Console(), total, verbose=verbose) as display,
        ):
            executor = Executor(place, display, children)
            executor.run(before)
            # Claiming may have moved work of another dataset away: look again at what is there.
            executor.run(stages_of(rule, place), first=prepared + 1)
    except StepFailed as failure:
        if str(failure):
            click.echo(str(failure), err=True)
        return failure.status
    if rule == "submit":
        click.echo(f"Hand in: {place.work.submission_csv}")
    return 0


@contextmanager
def _hearing_signals(children: Children) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, children.note_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_development(rule: str, settings: Settings, make_options: frozenset[str]) -> int:
    """Run a command that is about the kit itself, with all that it prints."""
    commands = {
        "doctor": [["-m", "models", "doctor"]],
        "test": [["-m", "pytest", "-n", "2", "--dist", "worksteal", *settings.words("TEST_FLAGS")]],
        "lint": [
            ["-m", "ruff", "check", "."],
            ["-m", "ruff", "format", "--check", "."],
            ["-m", "mypy"],
            ["-m", "vulture"],
        ],
        "torture": [
            [
                "-m",
                "tests.robustness",
                "--minutes",
                settings["MINUTES"],
                "--seed",
                settings["SEED"] or "1",
            ],
        ],
        "reference": [["-m", "tests.builders.command_reference"]],
    }
    for arguments in commands[rule]:
        if "n" in make_options:
            click.echo(shlex.join([".venv/bin/python", *arguments]))
            continue
        status = run_directly(arguments)
        if status:
            return status
    return 0
