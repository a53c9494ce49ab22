"""A saved finding called again, in the place and the world in which it was found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from tests.robustness.case import Case, called
from tests.robustness.commands import Command
from tests.robustness.faults import fault_case
from tests.robustness.findings import SavedCase
from tests.robustness.harness import Harness
from tests.robustness.killer import kill_case, undisturbed
from tests.robustness.lines import Line
from tests.robustness.world import make_place


def replay(folder: Path, commands: Sequence[Command]) -> Case:
    """Call the line of a saved finding as it was called then; `commands` are those to choose from.

    Raises:
        click.UsageError: no finding is saved there, its command is gone, or its place is in use.
    """
    try:
        saved: SavedCase = json.loads((folder / "case.json").read_text())
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{folder} is no finding's folder: {error}") from None
    root = Path(saved["root"])
    # Inputs name their traps by full paths, so that they work in the same place only.
    try:
        root.parent.mkdir(parents=True)
    except FileExistsError:
        raise click.UsageError(f"{root.parent} is in use; remove it") from None
    try:
        root.parent.chmod(0o755)
        return _replayed(saved, folder / "before", root, commands)
    finally:
        shutil.rmtree(root.parent)


def _replayed(saved: SavedCase, before: Path, root: Path, commands: Sequence[Command]) -> Case:
    original = make_place(root.with_name(f"{root.name}-original"))
    shutil.copytree(before, original.world, symlinks=True, dirs_exist_ok=True)
    harness = Harness(original, root)
    line = Line(
        _command(saved["command"], commands),
        saved["arguments"],
        seconds=saved["seconds"],
        written=saved["written"],
        read=saved["read"],
    )
    if saved["kind"] == "faulty":
        return fault_case(harness, line, saved["seed"])
    if saved["kind"] == "killed":
        expected = undisturbed(harness, line)
        if expected is None:
            raise click.UsageError(f"{line.text} does not end well any more without kills")
        return kill_case(harness, line, expected, saved["seed"])
    return called(saved["kind"], harness, line, saved["changes"])


def _command(name: str, commands: Sequence[Command]) -> Command:
    for command in commands:
        if command.name == name:
            return command
    raise click.UsageError(f"there is no command {name!r} any more")
