"""What a person sees while steps run: numbered lines, and on a terminal what is going on now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from workflow.step import Step


def duration(seconds: float) -> str:
    """Return `3 s`, `2:03` or `1:02:03`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{whole} s"


class Display:
    """Numbered lines; several threads may speak.

    Args:
        console: where to.
        total: number of steps.
        verbose: show commands and all that they print.
    """

    def __init__(self, console: Console, total: int, *, verbose: bool = False) -> None:
        self._console, self._total, self._verbose = console, total, verbose
        self._lock = threading.RLock()
        self._now: dict[str, str] = {}
        self._live: Live | None = None

    def __enter__(self) -> Display:
        if self._console.is_terminal and not self._verbose:
            self._live = Live(console=self._console, transient=True, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def shows_what_is_going_on(self) -> bool:
        """Whether there is a terminal to redraw."""
        return self._live is not None

    def begin(self, number: int, step: Step, command: str, expected: float | None) -> None:
        """A step starts."""
        about = f"about {duration(expected)}" if expected else "time not known yet"
        text = f"{self._number(number)} {step.name} ({about})"
        if self._verbose:
            self.line(command)
        elif self._live:
            self._show_now(step, text)
        elif step.shows == "progress":
            self.line(text)

    def going_on(self, number: int, step: Step, line: str, *, alone: bool) -> None:
        """A step printed a line."""
        if self._live:
            if line.strip():
                self._show_now(step, f"{self._number(number)} {step.name}: {line.strip()}")
        elif step.shows == "progress" and not alone:
            self.line(f"{step.subject} | {line}")
        elif self._verbose or step.shows == "progress":
            self.line(line)

    def end(self, number: int, step: Step, result: str, seconds: float, output: list[str]) -> None:
        """A step has ended well."""
        with self._lock:
            self._now.pop(step.key, None)
            self._redraw()
            text = f"{self._number(number)} {step.name}"
            text += f": {result}" if result else ""
            self.line(f"{text} ({duration(seconds)})" if seconds >= 0.5 else text)
            if step.shows == "output" and not self._verbose:
                self.line("\n".join(output))

    def unchanged(self, number: int, step: Step) -> None:
        """A step was done before."""
        self.line(f"{self._number(number)} {step.name}: unchanged")

    def failed(self, number: int, step: Step, output: list[str]) -> None:
        """A step has ended badly: what it said is what there is to know."""
        with self._lock:
            self._now.pop(step.key, None)
            self._redraw()
            self.line(f"{self._number(number)} {step.name}: failed")
            if step.shows != "progress" and not self._verbose:
                Console(stderr=True, soft_wrap=True).out("\n".join(output), highlight=False)
            elif self._live:
                self.line("\n".join(output))

    def line(self, text: str) -> None:
        """Print text as it is."""
        with self._lock:
            self._console.print(Text(text), soft_wrap=True)

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """Leave the terminal to a command for the time of the block."""
        live = self._live
        if live:
            live.update(Text(""))
            live.stop()
        try:
            yield
        finally:
            if live:
                live.start()

    def _number(self, number: int) -> str:
        return f"[{number:>{len(str(self._total))}}/{self._total}]"

    def _show_now(self, step: Step, text: str) -> None:
        with self._lock:
            self._now[step.key] = text
            self._redraw()

    def _redraw(self) -> None:
        if self._live:
            self._live.update(
                Text("\n".join(self._now.values()), no_wrap=True, overflow="ellipsis")
            )
