"""A table of damaged files: each is told, with file and key, or changes nothing that comes out."""

from __future__ import annotations

import re
import shutil
import traceback
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from data_tools.ground.errors import UserError
from tests.builders.damage import Damage, FileKind, damages


@dataclass(frozen=True)
class Reading:
    """One file, and what reads it.

    Attributes:
        path: the file.
        kind: how its content is built.
        read: reads it; returns what comes out, to be compared.
        free: patterns of keys, or `: kind` of damage, where what comes out may change.
        unnamed: patterns of keys that are told in other words, or `: kind` of damage where the
            message is about what lies beside the file.
    """

    path: Path
    kind: FileKind
    read: Callable[[], Any]
    free: Collection[str] = ()
    unnamed: Collection[str] = ()


def untold(reading: Reading) -> list[str]:
    """Try every damage of a file; return one line for each that is not told as it should be."""
    right = reading.read()
    content = reading.path.read_bytes()
    lines = []
    for damage in damages(reading.path, reading.kind):
        damage.apply(reading.path)
        try:
            fault = _fault_of(reading, damage, right)
        finally:
            _put_back(reading.path, content)
        if fault:
            lines.append(f"{damage.key}: {damage.kind}: {fault}")
    return lines


def _fault_of(reading: Reading, damage: Damage, right: Any) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reading.read()
    except UserError as error:
        return _fault_of_message(reading, damage, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a command would end in a traceback for
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    is_free = any(fnmatch(damage.key, each) for each in reading.free)
    if damage.kind == "a key twice":
        return "one of two values is passed over without a word"
    if found == right or is_free or f": {damage.kind}" in reading.free:
        return None
    return "another result, and not a word"


def _fault_of_message(reading: Reading, damage: Damage, message: str) -> str | None:
    is_in_other_words = any(fnmatch(damage.key, each) for each in reading.unnamed)
    if is_in_other_words or f": {damage.kind}" in reading.unnamed:
        return None
    if str(reading.path) not in message:
        return f"the message does not name the file: {message}"
    last = re.split(r"[.\[]", re.sub(r"(\[0\])+$", "", damage.key))[-1]
    return None if last in message else f"the message does not name the key: {message}"


def _put_back(path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)


def of_command(group: click.Command, words: Sequence[str], *outs: Path) -> Callable[[], Any]:
    """Return a reader that runs a command: what it prints, without times, and writes comes out.

    Its message, with status 2, is raised as a `UserError`.
    """

    def read() -> Any:
        result = CliRunner().invoke(group, [str(word) for word in words])
        if result.exit_code == 2:
            raise UserError(result.output)
        if result.exception is not None:
            raise result.exception
        return re.sub(r"\d[\d:.]* ?s\b|\d\d:\d\d(:\d\d)?", "", result.output), [
            out.read_bytes() for out in outs
        ]

    return read
