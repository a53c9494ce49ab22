"""Show statistics and comparisons of datasets in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MEANING_OF_DISTANCE = {
    "class": "share of boxes that would have to change class",
    "size": "largest gap between the two distributions of box size",
    "aspect": "the same of width over height",
    "count": "the same of boxes per image",
}


def show_statistics(names: Sequence[str], found: Sequence[dict[str, Any]]) -> None:
    """Print the statistics of one or two datasets side by side."""
    console = Console(soft_wrap=True)
    console.print(_table("", names, _overview(found)))
    console.print(_table("\nboxes per class", names, _classes(found)))
    for key, title in (
        ("size", "\nbox size (root of area, share of the image side)"),
        ("aspect", "\nwidth / height"),
        ("count", "\nboxes per image"),
    ):
        console.print(_table(title, names, _percentiles(found, key)))


def _table(title: str, names: Sequence[str], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    # As texts: names of files and classes may hold brackets, which rich takes for markup.
    for name in names:
        table.add_column(Text(name), justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _overview(found: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    keys = ("images", "images_without_boxes", "boxes", "skipped_boxes")
    rows = [(key.replace("_", " "), *(str(one[key]) for one in found)) for key in keys]
    areas = [
        (f"{name} (COCO)", *(_share(one["coco_areas"][name], one) for one in found))
        for name in ("small", "medium", "large")
    ]
    return [*rows, *areas]


def _classes(found: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    names = dict.fromkeys(name for one in found for name in one["classes"])
    return [(name, *(_share(one["classes"].get(name, 0), one) for one in found)) for name in names]


def _share(boxes: int, one: dict[str, Any]) -> str:
    return f"{boxes} ({100 * boxes / max(one['boxes'], 1):.1f}%)"


def _percentiles(found: Sequence[dict[str, Any]], key: str) -> list[tuple[str, ...]]:
    labels = dict.fromkeys(label for one in found for label in one[key] or ())
    return [(label, *(_number((one[key] or {}).get(label)) for one in found)) for label in labels]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def show_distances(found: dict[str, float | None]) -> None:
    """Print the distances between two datasets with what they mean."""
    table = Table(
        title="\ndistance, 0 (alike) to 1", title_justify="left", box=None, pad_edge=False
    )
    for heading in ("", "", "meaning"):
        table.add_column(heading)
    for name, value in found.items():
        table.add_row(name, _number(value), MEANING_OF_DISTANCE.get(name, ""))
    Console(soft_wrap=True).print(table)


def show_ranking(ranked: Sequence[Any], gaps: dict[str, dict[str, Any]], rows: int = 10) -> None:
    """Print the most test-like folds of a search, and the ledger's record of folds."""
    table = Table(box=None, pad_edge=False)
    for heading in (
        "rank",
        "seed",
        "fold",
        "images",
        "distance",
        "class",
        "size",
        "count",
        "image",
    ):
        table.add_column(heading, justify="right")
    for rank, entry in enumerate(ranked[:rows], start=1):
        parts = [_number(entry.distances[name]) for name in ("class", "size", "count", "image")]
        where = (str(rank), str(entry.seed), str(entry.fold), str(entry.images))
        table.add_row(*where, f"{entry.total:.4f}", *parts)
    console = Console(soft_wrap=True)
    console.print(table)
    totals = sorted(entry.total for entry in ranked)
    console.print(
        f"distance of all {len(totals)} folds: {totals[0]:.4f} to {totals[-1]:.4f}, "
        f"median {totals[len(totals) // 2]:.4f}",
        highlight=False,
    )
    for name, gap in gaps.items():
        console.print(
            f"ledger: {gap['submissions']} submissions of {name} scored "
            f"{gap['mean_gap']:.4f} away from the leaderboard on average",
            markup=False,
        )
