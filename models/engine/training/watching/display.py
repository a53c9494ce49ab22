"""What training shows: a live bar and table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from models.engine.training.watching.score_table import ScoreTable, duration, score_texts

SECONDS_BETWEEN_LINES = 15.0


class Display(Protocol):
    """Receives the events of a training run."""

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Start an epoch of `steps` steps, `done` of which are behind."""

    def step(self, done: int, loss: float, images_per_second: float, eta_seconds: float) -> None:
        """Show the state after a step."""

    def end_epoch(self, record: Mapping[str, Any], best: bool) -> None:
        """Show an epoch's losses and scores."""

    def message(self, text: str) -> None:
        """Show a sentence."""

    def close(self) -> None:
        """Give the terminal back."""


class SilentDisplay:
    """For the processes that do not talk."""

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Show nothing."""

    def step(self, done: int, loss: float, images_per_second: float, eta_seconds: float) -> None:
        """Show nothing."""

    def end_epoch(self, record: Mapping[str, Any], best: bool) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class PlainDisplay(SilentDisplay):
    """One line now and then, for log files and notebooks."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epoch_text = ""
        self._steps = 0
        self._last_line = 0.0

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Remember where the run stands."""
        self._epoch_text, self._steps = f"epoch {epoch + 1}/{epochs}", steps

    def step(self, done: int, loss: float, images_per_second: float, eta_seconds: float) -> None:
        """Print a line, but not more often than every 15 seconds."""
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        self.message(
            f"{self._epoch_text}  step {done}/{self._steps}  loss {loss:.3f}  "
            f"{images_per_second:.1f} images/s  ETA {duration(eta_seconds)}"
        )

    def end_epoch(self, record: Mapping[str, Any], best: bool) -> None:
        """Print the epoch's scores on one line."""
        scores = "  ".join(
            f"{title} {text}" for title, text in zip(*score_texts(record["val"]), strict=True)
        )
        self.message(
            f"{self._epoch_text}  train loss {record['train_loss']:.3f}  {scores}"
            + ("  (best)" if best else "")
        )

    def message(self, text: str) -> None:
        """Print the text as it is."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class TerminalDisplay:
    """A table that grows by a row per epoch, above a progress bar that is always in sight."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            console=console,
            expand=True,
        )
        self._task = self._progress.add_task("", total=1)
        # On a line of its own: beside the bar it has no room on a narrow terminal.
        self._status = Text(no_wrap=True, overflow="ellipsis")
        self._table = ScoreTable(below=Group(self._progress, self._status))
        self._live = Live(self._table, console=console, refresh_per_second=4)
        self._live.start()

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Reset the bar."""
        description = f"epoch {epoch + 1}/{epochs}"
        self._progress.update(self._task, description=description, total=steps, completed=done)
        self._status.plain = ""

    def step(self, done: int, loss: float, images_per_second: float, eta_seconds: float) -> None:
        """Advance the bar."""
        self._progress.update(self._task, completed=done)
        self._status.plain = (
            f"loss {loss:.3f}  {images_per_second:.1f} images/s  ETA {duration(eta_seconds)}"
        )

    def end_epoch(self, record: Mapping[str, Any], best: bool) -> None:
        """Add a row to the table."""
        self._table.add(record, best)
        self._live.refresh()

    def message(self, text: str) -> None:
        """Print the text above the table."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Stop redrawing; all rows stay, the oldest where the terminal can be scrolled back to."""
        self._table.is_whole = True
        self._live.stop()


def make_display(console: Console) -> Display:
    """Return the display that suits where the output goes."""
    return TerminalDisplay(console) if console.is_terminal else PlainDisplay(console)
