"""The live table of epochs: as many of the newest rows as the terminal has room for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import HEAVY_HEAD, SIMPLE_HEAD, Box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table

# Columns of the per-epoch table: title and the key of the validation score (None: not a score).
SCORE_COLUMNS = (
    ("mAP50*", "competition_map50"),
    ("mAP", "map"),
    ("mAP50", "map50"),
    ("small", "map_small"),
    ("medium", "map_medium"),
    ("large", "map_large"),
)
TITLE = "validation fold (mAP50*: the competition's metric)"
# What goes first where the terminal is too narrow for all columns.
LEAST_NEEDED_FIRST = ("time", "train loss", "large", "medium", "small", "mAP50")


@dataclass(frozen=True)
class _Row:
    texts: Mapping[str, str]
    best: bool


class ScoreTable:
    """A renderable that grows by a row per epoch and always fits the space it is drawn in.

    Args:
        below: what stands under the table; it is drawn whole whatever becomes of the rows.

    Attributes:
        is_whole: draw every row, however many; for what stays on the screen at the end.
    """

    def __init__(self, below: RenderableType) -> None:
        self.is_whole = False
        self._below = below
        self._rows: list[_Row] = []
        self._longest: dict[str, str] = {}  # text of each column, for the width

    def add(self, record: Mapping[str, Any], best: bool) -> None:
        """Add an epoch's row."""
        titles, scores = score_texts(record["val"])
        texts = {
            "epoch": f"{record['epoch'] + 1}",
            "train loss": f"{record['train_loss']:.3f}",
            **dict(zip(titles, scores, strict=True)),
            "time": duration(record["seconds"]),
        }
        self._rows.append(_Row(texts, best))
        for column, text in texts.items():
            self._longest[column] = max(text, self._longest.get(column, ""), key=len)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = self._rows
        if rows and not self.is_whole:
            # One line is left free, so that the terminal never scrolls by itself.
            room = options.max_height - _height(console, options, self._below) - 1
            room -= _height(console, options, self._table(console, options, []))
            rows = rows[-room:] if room > 0 else []
        if rows:
            yield self._table(console, options, rows)
        yield self._below

    def _table(self, console: Console, options: ConsoleOptions, rows: list[_Row]) -> Table:
        """Return the first form that fits the width; by all rows' width, so that none flickers."""
        unlimited = options.update(width=10_000)
        for columns, box, padding in _forms():
            widest = _drawn(columns, box, padding, [_Row(self._longest, best=False)])
            if Measurement.get(console, unlimited, widest).maximum <= options.max_width:
                break
        return _drawn(columns, box, padding, rows)


def score_texts(scores: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Return the titles and texts of an epoch's scores; "-" for one that does not exist."""
    values = [(scores or {}).get(key) for _, key in SCORE_COLUMNS]
    # COCO's value for "no box of that size in the truth" is -1 or None.
    texts = ["-" if value is None or value < 0 else f"{value:.3f}" for value in values]
    return [title for title, _ in SCORE_COLUMNS], texts


def duration(seconds: float) -> str:
    """Return `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _forms() -> Iterator[tuple[list[str], Box, int]]:
    """Yield columns, borders and padding: the roomy form, then narrower and narrower ones."""
    columns = ["epoch", "train loss", *(title for title, _ in SCORE_COLUMNS), "time"]
    yield columns, HEAVY_HEAD, 1
    yield columns, SIMPLE_HEAD, 0
    for name in LEAST_NEEDED_FIRST:
        columns = [column for column in columns if column != name]
        yield columns, SIMPLE_HEAD, 0


def _drawn(columns: list[str], box: Box, padding: int, rows: list[_Row]) -> Table:
    table = Table(title=TITLE, box=box, padding=(0, padding))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = [row.texts[column] for column in columns]
        table.add_row(*cells, style="bold" if row.best else None)
    return table


def _height(console: Console, options: ConsoleOptions, part: RenderableType) -> int:
    return len(console.render_lines(part, options.update(height=None), pad=False))
