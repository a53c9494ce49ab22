"""`--json` and `--json-out FILE`: the result of any command, for people or for a program."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import click

from data_tools.ground.files import refuse_overwriting, write_json
from data_tools.ground.options.notes import collected_notes
from data_tools.ground.options.terminal import printable, printable_json


@dataclass(frozen=True)
class Result:
    """What a command hands back to be printed.

    Attributes:
        value: the result for a program; what `json_value` accepts.
        text: the result for people, or a function that prints it; empty for nothing to say.
        exit_status: with which the command ends after its result is printed.
        files: further files that it read or wrote, which `--json-out` may not replace.
    """

    value: Any
    text: str | Callable[[], None]
    exit_status: int = 0
    files: tuple[str | Path, ...] = ()


def output_options(command: Callable[..., Result]) -> Callable[..., None]:
    """Give a command that returns a `Result` the options `--json` and `--json-out FILE`.

    With `--json` stdout holds one JSON document and nothing else: whatever the command, its
    libraries and its child processes print meanwhile goes to stderr. A mistake leaves stdout empty.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option(
        "--json-out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the result to this JSON file.",
    )
    @functools.wraps(command)
    def run(*arguments: Any, as_json: bool, json_out: Path | None, **options: Any) -> None:
        refuse_overwriting([json_out], _paths_in([*arguments, *options.values()]))
        hidden = stdout_to_stderr() if as_json else contextlib.nullcontext()
        with hidden, collected_notes() as notes:
            result = command(*arguments, **options)
        for note in notes:
            click.echo(printable(f"note: {note}"), err=True)
        value = _with_notes(result.value, notes)
        if json_out is not None:
            refuse_overwriting([json_out], result.files)
            write_json(json_out, json_value(value))
        if as_json:
            click.echo(json_text(value))
        elif callable(result.text):
            result.text()
        elif result.text:
            click.echo(printable(result.text))
        if result.exit_status:
            raise SystemExit(result.exit_status)

    return run


def _with_notes(value: Any, notes: Sequence[str]) -> Any:
    """Return the value with what was assumed under `notes`, if it is an object."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if not notes or not isinstance(value, Mapping):
        return value
    return {**value, "notes": [*value.get("notes", ()), *notes]}


def without_output_options(words: Sequence[str]) -> list[str]:
    """Return a command's words without its output options: one process is to obey them."""
    kept: list[str] = []
    for number, word in enumerate(words):
        is_file = number > 0 and words[number - 1] == "--json-out"
        if not (is_file or word in ("--json", "--json-out") or word.startswith("--json-out=")):
            kept.append(word)
    return kept


def json_text(value: Any) -> str:
    """Return strict JSON for the terminal."""
    text = json.dumps(json_value(value), indent=2, allow_nan=False, ensure_ascii=False)
    return printable_json(text)


def json_value(value: Any) -> Any:
    """Return the same in what JSON has: dataclasses as objects, arrays and tuples as lists.

    Paths become text. Numbers that JSON does not have (NaN, infinity) become null.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return json_value(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): json_value(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers, without loading NumPy for it
        return json_value(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to stderr what this process and its children print; afterwards as before."""
    with contextlib.redirect_stdout(sys.stderr), _descriptor_to_stderr():
        yield


@contextlib.contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    """Let children, who inherit file descriptors and not `sys.stdout`, write to stderr too."""
    try:
        # Something else stands for stderr in tests and notebooks: descriptors mean nothing there.
        is_terminal_or_file = sys.stderr.fileno() == 2
    except (io.UnsupportedOperation, AttributeError, ValueError):
        is_terminal_or_file = False
    if not is_terminal_or_file:
        yield
        return
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _paths_in(values: Iterable[Any]) -> Iterator[Path]:
    for value in values:
        if isinstance(value, (str, Path)):
            yield Path(value)
        elif isinstance(value, tuple):
            yield from _paths_in(value)
