"""Every command of the kit, found by asking click: a new one is covered the day it lands."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from tests.builders.packages import WITH_COMMANDS


@dataclass(frozen=True)
class Command:
    """One command of one package.

    Attributes:
        package: what follows `python -m`.
        path: names of the groups and of the command, without the package.
        click_command: its declaration, for its parameters.
        group: the package's outermost group, which runs it.
    """

    package: str
    path: tuple[str, ...]
    click_command: click.Command
    group: click.Command

    @property
    def name(self) -> str:
        """`submit score`."""
        return " ".join((self.package, *self.path))

    def run(self, arguments: list[str]) -> None:
        """Run it in this process as `python -m` does; ends with SystemExit."""
        # Some commands record how they were called.
        sys.argv = [f"{self.package}/__main__.py", *self.path, *arguments]
        self.group.main([*self.path, *arguments], prog_name=f"python -m {self.package}")


def every_command(packages: tuple[str, ...] = WITH_COMMANDS) -> list[Command]:
    """Return the commands of the packages that have a command line, in the order of their help."""
    found: list[Command] = []
    for package in packages:
        if importlib.util.find_spec(package) is None:
            continue
        group = importlib.import_module(f"{package}.cli").main
        found += [Command(package, path, command, group) for path, command in _leaves(group, ())]
    return found


def _leaves(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from _leaves(child, (*path, name))
