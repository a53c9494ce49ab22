"""What a comparison of two arms says, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from experiments.factors import Difference
from scoring.uncertainty.intervals import Interval

LEAKED = "LEAKED"
Kind = Literal["epochs", "time"]


@dataclass(frozen=True)
class MetricRow:
    """One metric of two arms.

    Attributes:
        metric: `map`, `competition_map50`, `competition_ap50/Glass`, ...
        base, other: means over seeds; None where there is no truth.
        base_seeds, other_seeds: t interval of each mean over seeds; None for one seed.
        difference: other minus base.
        over_seeds: interval of the difference over seeds; None for one seed.
        over_images: interval of the difference over resampled images; None without predictions.
        verdict: `higher`, `lower`, `not established` or `LEAKED`.
    """

    metric: str
    base: float | None
    other: float | None
    base_seeds: Interval | None
    other_seeds: Interval | None
    difference: float | None
    over_seeds: Interval | None
    over_images: Interval | None
    verdict: str


@dataclass(frozen=True)
class Basis:
    """A comparison on one footing: the same epochs, or the same training time.

    Attributes:
        kind: `epochs` or `time`.
        title: what was held equal, with its amount.
        rows: one per metric.
        notes: what the reader must know about these rows.
    """

    kind: Kind
    title: str
    rows: tuple[MetricRow, ...]
    notes: tuple[str, ...] = ()

    def row(self, metric: str) -> MetricRow:
        """Return the row of one metric; KeyError if there is none."""
        for row in self.rows:
            if row.metric == metric:
                return row
        raise KeyError(metric)


@dataclass(frozen=True)
class Comparison:
    """Everything that can be said about two arms.

    Attributes:
        base, other: names of the arms.
        seeds: seeds of each.
        differing: keys of the configuration and data that differ.
        warnings: what makes the comparison less than controlled.
        leaked: arm name -> reasons.
        bases: at equal epochs, then at equal training time.
    """

    base: str
    other: str
    seeds: tuple[tuple[int | None, ...], tuple[int | None, ...]]
    differing: tuple[Difference, ...]
    warnings: tuple[str, ...]
    leaked: dict[str, tuple[str, ...]]
    bases: tuple[Basis, ...]

    @property
    def distinct_bases(self) -> tuple[Basis, ...]:
        """The bases; one with both titles where epochs and training time were both equal."""
        epochs, time = self.bases
        if epochs.rows != time.rows or not epochs.rows:
            return self.bases
        return (replace(epochs, title=f"{epochs.title} and {time.title}"),)
