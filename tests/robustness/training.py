"""The toy detector's training as one more command to kill: the engine without any library."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.paths import WorkPaths
from tests.robustness.commands import Command


@click.command("train")
def _train() -> None:
    """Train the toy detector for two epochs, or go on with its training.

    \b
    Examples:
      python -m toy train
    """
    from tests.builders.experiments_workspace import FOLD
    from tests.builders.toy_detector import train_toy

    # As `models train` does: a finished run is left alone.
    if not WorkPaths(Path("work")).run("toy", FOLD).finished_json.is_file():
        train_toy(Path(), "toy", fold=FOLD, resume=True)


def toy_command() -> Command:
    """Return the command `toy train`."""
    return Command("toy", ("train",), _train, CommandGroup("toy", {"train": _train}))
