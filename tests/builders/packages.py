"""The kit's packages and command lines: the one list for all tests that go over them."""

from __future__ import annotations

import importlib

import click

# In the order of work, which is that of docs/commands.md.
WITH_COMMANDS = ("data_tools", "models", "ensemble", "submit", "experiments", "workflow")
PACKAGES = ("scoring", *WITH_COMMANDS)


def command_line(package: str) -> click.Group:
    """Return a package's outermost group."""
    return importlib.import_module(f"{package}.cli").main


def is_rule_of_make(package: str, name: str) -> bool:
    """Whether a command is there for the Makefile: it prints what its steps print."""
    return package == "workflow" and name not in ("variables", "same-fusion")


def commands() -> dict[tuple[str, str], click.Command]:
    """Return every command but the rules of make, by package and name."""
    return {
        (package, name): command
        for package in WITH_COMMANDS
        for name, command in command_line(package).commands.items()
        if not is_rule_of_make(package, name)
    }
