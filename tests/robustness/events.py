"""Operations on files that the interpreter announces: counted, or answered with a signal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR


def count_events(target: Path) -> None:
    """Write one byte into a file for every announced operation on files."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    on_file_events(lambda _: os.write(descriptor, b"."))


def strike_at_event(number: int, signal_number: int, noted: Path) -> None:
    """Send this process a signal right before its operation on files of that number, and note it.

    SIGINT goes to its children too, as Ctrl-C does.
    """
    descriptor, left = os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), [number]

    def strike(_: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            os.write(descriptor, b"!")
            send = os.killpg if signal_number == signal.SIGINT else os.kill
            send(os.getpid(), signal_number)

    on_file_events(strike)


def on_file_events(action: Callable[[str], object]) -> None:
    """Call `action` with the name of every operation that changes files, from now on."""

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS or (event == "open" and _opens_for_writing(arguments)):
            action(event)

    sys.addaudithook(heard)


def _opens_for_writing(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & WRITING) and arguments[0] != os.devnull
