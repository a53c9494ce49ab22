"""The live table keeps its newest rows and never pushes what stands below it off the screen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from models.engine.training.watching.score_table import ScoreTable

BAR = "the bar"


def table_of(epochs: int) -> ScoreTable:
    table = ScoreTable(below=Text(BAR))
    for epoch in range(epochs):
        scores = {"competition_map50": 0.5, "map": 0.25, "map50": 0.375, "map_small": 0.125,
                  "map_medium": 0.625, "map_large": 0.75}  # fmt: skip
        table.add({"epoch": epoch, "train_loss": 2.5, "val": scores, "seconds": 3700}, best=False)
    return table


def drawn(table: ScoreTable, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(table)
    return console.file.getvalue().rstrip("\n").split("\n")


def epochs_in(lines: list[str]) -> list[int]:
    first_cells = [line.strip(" │┃").split(" ")[0] for line in lines]
    return [int(cell) for cell in first_cells if cell.isdigit()]


def test_before_the_first_epoch_only_the_bar_is_there():
    assert drawn(table_of(0), 80, 24) == [BAR]


@pytest.mark.parametrize("width", [24, 40, 60, 79, 80, 120])
@pytest.mark.parametrize("height", [3, 9, 24])
@pytest.mark.parametrize("epochs", [1, 36, 100])
def test_the_bar_is_in_sight_and_no_line_is_broken(width, height, epochs):
    lines = drawn(table_of(epochs), width, height)
    assert lines[-1] == BAR
    assert len(lines) <= height - 1 or lines == [BAR]
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_the_newest_rows_stay():
    # 24 lines: one free, one for the bar, five of the table's own (title, three lines of its head,
    # the bottom): 17 rows.
    assert epochs_in(drawn(table_of(100), 120, 24)) == list(range(84, 101))
    assert epochs_in(drawn(table_of(17), 120, 24)) == list(range(1, 18))
    assert epochs_in(drawn(table_of(18), 120, 24)) == list(range(2, 19))


@pytest.mark.parametrize("width", [60, 70, 79])
def test_below_80_columns_every_coco_figure_is_readable(width):
    text = "\n".join(drawn(table_of(50), width, 24))
    for part in ("mAP50*", "small", "medium", "large", "0.250", "0.375", "0.125", "0.625", "0.750"):
        assert part in text


def test_at_the_narrowest_the_two_metrics_stay():
    text = "\n".join(drawn(table_of(50), 24, 24))
    assert "mAP50*" in text and "0.500" in text and "mAP" in text and "0.250" in text


def test_at_the_end_every_row_is_drawn():
    table = table_of(100)
    table.is_whole = True
    assert epochs_in(drawn(table, 80, 24)) == list(range(1, 101))
