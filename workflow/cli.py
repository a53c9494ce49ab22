"""Command line of `workflow`: a command per rule of the Makefile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError
from data_tools.ground.options.limits import MOST_ITEMS
from data_tools.ground.options.output import Result, output_options
from workflow.given.makeflags import assignments_of, options_of
from workflow.given.settings import Settings, read_settings
from workflow.given.variables import VARIABLES

VALUES = click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")


@click.group(cls=CommandGroup)
def main() -> None:
    """The rules of the Makefile; variables come from make, the environment or NAME=VALUE."""


def _settings(values: tuple[str, ...]) -> Settings:
    assignments = assignments_of(os.environ.get("MAKEFLAGS", ""))
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise UserError(f"{value!a} is no NAME=VALUE", expected="for example FOLD=3")
        assignments[name] = text
    return read_settings(assignments, os.environ)


def _make_options() -> frozenset[str]:
    return options_of(os.environ.get("MAKEFLAGS", ""))


@main.command()
@VALUES
@output_options
def variables(values: tuple[str, ...]) -> Result:
    """List the variables with their meaning and what they are now.

    \b
    Examples:
      python -m workflow variables
    """
    settings = _settings(values)
    now = {variable.name: settings[variable.name] for variable in VARIABLES}
    lines = [f"  {each.name + '=' + now[each.name]:<18} {each.help}" for each in VARIABLES]
    return Result(now, "\n".join(lines))


@main.command("same-fusion")
@click.option("--work", type=click.Path(path_type=Path), default=Path("work"), show_default=True,
              help="Work root.")  # fmt: skip
@click.option(
    "--fold", type=click.IntRange(0, MOST_ITEMS), required=True, help="Fold that is held out."
)
@output_options
def same_fusion(work: Path, fold: int) -> Result:
    """Check that the scores and the submission in a work folder are of one fusion.

    \b
    Examples:
      python -m workflow same-fusion --work work --fold 3
    """
    from data_tools.ground.paths import WorkPaths
    from workflow.same_fusion import require_same_fusion

    members = require_same_fusion(WorkPaths(work), fold)
    text = f"scores and submission are of one fusion of {', '.join(members)}"
    return Result({"members": members}, text)


def _add_rule(rule: str, text: str) -> None:
    @main.command(rule, help=f"{text}\n\n\b\nExamples:\n  python -m workflow {rule} WORK=work")
    @VALUES
    def run_rule(values: tuple[str, ...]) -> None:
        from workflow.front import run

        sys.exit(run(rule, _settings(values), _make_options()))


def _add_direct(rule: str, text: str) -> None:
    @main.command(rule, help=f"{text}\n\n\b\nExamples:\n  python -m workflow {rule}")
    @VALUES
    def run_command(values: tuple[str, ...]) -> None:
        from workflow.front import run_development

        sys.exit(run_development(rule, _settings(values), _make_options()))


for _name, _text in {
    "sample": "Draw the built-in sample dataset into sample/.",
    "verify": "Check every annotation and image of DATA.",
    "split": "Draw the folds.",
    "train": "Train MODEL on FOLD and predict the validation fold and the test images.",
    "pseudo": "Make pseudo-labels from the fusion of all finished runs.",
    "fuse": "Fuse the predictions of MEMBERS.",
    "score": "Score every member and the fusion on the validation fold.",
    "submit": "Fuse, check, score, and write WORK/submission.csv.",
    "report": "Write the offline report WORK/report.html.",
}.items():
    _add_rule(_name, _text)
for _name, _text in {
    "doctor": "Say what this machine has and what is missing.",
    "test": "Run the test suite.",
    "torture": "Kill, fuzz and starve every command for MINUTES; see findings/.",
    "lint": "Check style, layout, types and dead code.",
    "reference": "Write docs/commands.md from --help of every command.",
}.items():
    _add_direct(_name, _text)
