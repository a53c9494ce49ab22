"""A comparison as text for a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.compare.comparison import Basis, Comparison, MetricRow
from scoring.uncertainty.bootstrap import PER_CLASS
from scoring.uncertainty.intervals import Interval

STYLES = {"higher": "green", "lower": "red", "LEAKED": "bold red"}
MAX_KEYS = 12


def comparison_text(comparison: Comparison, *, per_class: bool = True) -> Group:
    """Return what the terminal shows: factors, warnings, leaks, one table per footing."""
    title = Text(f"{comparison.base}  ->  {comparison.other}", style="bold")
    parts: list[Text | Table] = [title, *_factor_lines(comparison)]
    parts += [Text(f"! {warning}", style="yellow") for warning in comparison.warnings]
    for arm, reasons in comparison.leaked.items():
        parts += [Text(f"LEAKED {arm}: {reason}", style="bold red") for reason in reasons]
    for basis in comparison.distinct_bases:
        parts.append(_basis_table(basis, per_class))
        parts += [Text(f"  {note}", style="dim") for note in basis.notes]
    return Group(*parts)


def _factor_lines(comparison: Comparison) -> list[Text]:
    names = dict.fromkeys(difference.factor for difference in comparison.differing)
    lines = [Text(f"factors that differ: {', '.join(names) or 'none'}")]
    lines += [Text(f"  {difference}") for difference in comparison.differing[:MAX_KEYS]]
    left = len(comparison.differing) - MAX_KEYS
    return [*lines, Text(f"  and {left} more keys")] if left > 0 else lines


def _basis_table(basis: Basis, per_class: bool) -> Table:
    table = Table(title=f"Validation score {basis.title}", title_justify="left")
    table.add_column("metric")
    for heading in ("base", "other", "difference", "95% over images", "95% over seeds"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in basis.rows:
        if not per_class and row.metric.startswith(PER_CLASS):
            continue
        table.add_row(*_cells(row))
    return table


def _cells(row: MetricRow) -> list[Text | str]:
    return [
        row.metric,
        mean_text(row.base, row.base_seeds),
        mean_text(row.other, row.other_seeds),
        signed(row.difference),
        interval_text(row.over_images),
        interval_text(row.over_seeds),
        Text(row.verdict, style=STYLES.get(row.verdict, "dim")),
    ]


def mean_text(mean: float | None, over_seeds: Interval | None) -> str:
    """Return a score with half its interval over seeds, or a dash where there is no truth."""
    if mean is None:
        return "-"
    if over_seeds is None:
        return f"{mean:.4f}"
    return f"{mean:.4f} ±{(over_seeds.high - over_seeds.low) / 2:.4f}"


def signed(value: float | None) -> str:
    """Return a difference with its sign."""
    return "-" if value is None else f"{value:+.4f}"


def interval_text(interval: Interval | None) -> str:
    """Return an interval of a difference."""
    return "-" if interval is None else f"[{interval.low:+.4f}, {interval.high:+.4f}]"
