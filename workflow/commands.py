"""Command lines as text and as processes: what a step runs, with its output line by line."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from data_tools.ground.files import open_in_place
from workflow.step import Step


def shown(step: Step) -> str:
    """Return a step's command as one would type it."""
    python = Path(sys.executable)
    here = Path.cwd()
    short = python.relative_to(here) if python.is_relative_to(here) else python
    threads = "OMP_NUM_THREADS=1 " if step.one_thread else ""
    return threads + shlex.join([str(short), *step.arguments])


def environment_of(step: Step) -> dict[str, str]:
    """Return the environment of a step: without make's own, whose jobs are not the step's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        **({"OMP_NUM_THREADS": "1"} if step.one_thread else {}),
    }


class Children:
    """The processes that are running, for passing signals on.

    Ctrl-C at a terminal reaches them by itself, and twice would stop a training without saving; a
    SIGTERM reaches make and us alone.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped_by = 0

    def note_signal(self, number: int, frame: object = None) -> None:
        """Remember a signal; pass SIGTERM on."""
        self.stopped_by = number
        if number == signal.SIGTERM:
            for process in list(self._running):
                process.send_signal(number)

    def run(self, step: Step, log: Path, say: Callable[[str], None]) -> tuple[int, list[str]]:
        """Run a step with its output in a log and, line by line, handed on.

        Returns:
            Its exit status, 128 + n after signal n, and its lines.
        """
        lines: list[str] = []
        with open_in_place(log, "w") as file:
            file.write(f"$ {shown(step)}\n")
            with self._started(step, subprocess.PIPE) as process:
                for line in process.stdout or ():
                    file.write(line)
                    file.flush()
                    lines.append(line.rstrip("\n"))
                    say(lines[-1])
                return self._ended(process), lines

    def run_on_terminal(self, step: Step, log: Path) -> tuple[int, list[str]]:
        """Run a step with the terminal as its output, for a live display of its own."""
        with open_in_place(log, "w") as file:
            file.write(f"$ {shown(step)}\n(shown on the terminal)\n")
        with self._started(step, None) as process:
            return self._ended(process), []

    def _started(self, step: Step, stdout: int | None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *step.arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment_of(step),
        )
        self._running.add(process)
        return process

    def _ended(self, process: subprocess.Popen[str]) -> int:
        status = process.wait()
        self._running.discard(process)
        return 128 - status if status < 0 else status


def run_directly(arguments: list[str]) -> int:
    """Run Python with arguments in the place of this process's own work; return its status."""
    # Ctrl-C reaches both; what it means is the command's to say.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        status = subprocess.call([sys.executable, *arguments])
    finally:
        signal.signal(signal.SIGINT, before)
    return 128 - status if status < 0 else status


def last_line(lines: list[str]) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
