"""Compare arms: at equal epochs and at equal training time, with intervals, factors and leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data_tools.coco import CocoDataset
from data_tools.errors import UserError
from data_tools.prediction_files import read_predictions
from experiments.arms_on_disk import RunGroup
from experiments.factors import Difference, comparable_inputs, differences, factors
from experiments.image_bootstrap import (
    OVERALL,
    PER_CLASS,
    ImageScorer,
    bootstrap_values,
)
from experiments.intervals import (
    Interval,
    difference_interval,
    mean_interval,
    percentile_interval,
    verdict,
)
from experiments.leaks import prediction_leaks, read_validation_truth, run_leaks
from experiments.run_folder import Run
from submit.bootstrap import image_samples

LEAKED = "LEAKED"
# Runs whose training times differ by less than this share count as trained for the same time.
SAME_TIME = 0.05
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


@dataclass(frozen=True)
class _Arm:
    """A group with what is read once: scorers of its predictions, and leaks."""

    group: RunGroup
    scorers: tuple[ImageScorer, ...] | None
    leaks: tuple[str, ...]


@dataclass(frozen=True)
class _Evidence:
    """Values per seed, (S, V) for each arm, with the bootstrap differences where they exist."""

    names: tuple[str, ...]
    base: np.ndarray
    other: np.ndarray
    image_differences: np.ndarray | None = field(default=None)


def compare_groups(
    base: RunGroup, other: RunGroup, work: Path, *, samples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two arms.

    Args:
        base: runs of the first arm, one per seed.
        other: runs of the second arm.
        work: work root, where the folds are.
        samples: number of bootstrap samples over images.
        seed: seed of the bootstrap.

    Raises:
        UserError: a run has no scored epoch yet, or the arms were validated on different images.
    """
    for run in (*base.runs, *other.runs):
        _require_epochs(run)
    truth = read_validation_truth(base.runs[0], work)
    _require_same_truth(truth, other, work)
    arms = [_read_arm(group, truth) for group in (base, other)]
    differing = differences(comparable_inputs(base.runs[0]), comparable_inputs(other.runs[0]))
    weights = image_samples(len(truth.images), samples, seed)
    leaked = {arm.group.name: arm.leaks for arm in arms if arm.leaks}
    bases = (
        _basis("epochs", arms, weights, bool(leaked)),
        _basis("time", arms, weights, bool(leaked)),
    )
    return Comparison(
        base=base.name,
        other=other.name,
        seeds=(base.seeds, other.seeds),
        differing=tuple(differing),
        warnings=tuple(_warnings(base, other, differing)),
        leaked=leaked,
        bases=bases,
    )


def _require_epochs(run: Run) -> None:
    if run.epochs:
        return
    raise UserError(
        "the run has no scored epoch yet, so there is nothing to compare",
        where=run.paths.root,
        expected="a run that trained at least one epoch",
        next_step=f"train on: python -m models train {run.info.get('model')} --resume",
    )


def _require_same_truth(truth: CocoDataset, other: RunGroup, work: Path) -> None:
    second = read_validation_truth(other.runs[0], work)
    if second.fingerprint != truth.fingerprint:
        raise UserError(
            "the runs were validated on different images, so their scores cannot be compared",
            where=f"{truth.source} and {second.source}",
            expected="runs of the same fold",
            next_step="train both with the same --fold",
        )


def _read_arm(group: RunGroup, truth: CocoDataset) -> _Arm:
    scorers, leaks = [], []
    for run in group.runs:
        leaks += run_leaks(run, truth)
        path = run.paths.predictions("val")
        if path.is_file():
            predictions = read_predictions(path, truth)
            leaks += prediction_leaks(predictions, truth)
            scorers.append(ImageScorer.from_predictions(predictions, truth))
    complete = len(scorers) == len(group.runs)
    return _Arm(group, tuple(scorers) if complete else None, tuple(dict.fromkeys(leaks)))


def _warnings(base: RunGroup, other: RunGroup, differing: list[Difference]) -> list[str]:
    warnings = []
    names = factors(differing)
    if len(names) > 1:
        warnings.append(
            f"{len(names)} factors differ ({', '.join(names)}): "
            "a difference in score cannot be put down to any one of them"
        )
    if not names:
        warnings.append("nothing differs but the seed: a difference here is noise")
    epochs = [sorted({run.last_epoch for run in group.runs}) for group in (base, other)]
    if epochs[0] != epochs[1] or len(epochs[0]) > 1:
        listed = " and ".join("/".join(map(str, each)) for each in epochs)
        warnings.append(
            f"the runs stand at different epochs ({listed}): their last scores are not compared; "
            "see the tables at equal epochs and at equal training time"
        )
    unfinished = [run.name for run in (*base.runs, *other.runs) if run.state != "finished"]
    if unfinished:
        warnings.append(f"not finished: {', '.join(unfinished)}")
    if set(base.seeds) != set(other.seeds):
        warnings.append(f"the seeds differ ({_listed(base.seeds)} and {_listed(other.seeds)})")
    return warnings


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values))


def _basis(kind: Kind, arms: list[_Arm], weights: np.ndarray, leaked: bool) -> Basis:
    runs = [run for arm in arms for run in arm.group.runs]
    title, epoch_of, complete = _footing(kind, runs)
    notes = []
    chosen = [epoch_of(run) for run in runs]
    if any(epoch is None for epoch in chosen):
        slow = [run.name for run, epoch in zip(runs, chosen, strict=True) if epoch is None]
        note = f"no score: {', '.join(slow)} had not finished an epoch by then"
        return Basis(kind, title, (), (note,))
    if complete and all(arm.scorers for arm in arms):
        evidence = _from_predictions(arms, weights)
    else:
        evidence = _from_metrics(arms, epoch_of)
        missing = "predictions of the validation images are missing (`python -m models predict`)"
        reason = missing if complete else "the final predictions belong to other epochs"
        notes.append(f"no interval over images: {reason}")
    if min(len(arm.group.runs) for arm in arms) < 2:
        notes.append("one seed: how much retraining alone moves the score was not measured")
    if kind == "epochs" and any(run.last_epoch > epoch_of(run)["epoch"] for run in runs):
        notes.append("a longer run is read in mid-schedule, before its learning rate has fallen")
    rows = _rows(evidence, _paired(arms), leaked)
    return Basis(kind, title, rows, tuple(notes))


EpochOf = Callable[[Run], dict[str, Any] | None]


def _footing(kind: Kind, runs: list[Run]) -> tuple[str, EpochOf, bool]:
    """Title, the epoch line of a run on this footing, and whether that is the end of every run."""
    if kind == "epochs":
        count = min(run.last_epoch for run in runs)
        complete = all(run.last_epoch == count for run in runs)
        title = f"at equal epochs ({count})"
        return title, lambda run: _line_at_epoch(run, count), complete
    limit = min(run.epochs[-1]["seconds"] for run in runs)
    longest = max(run.epochs[-1]["seconds"] for run in runs)
    title = f"at equal training time ({_duration(limit)})"
    complete = longest <= limit * (1 + SAME_TIME)
    # Within the tolerance the last epoch counts although it ended seconds later.
    allowed = longest if complete else limit
    return title, lambda run: _line_within(run, allowed), complete


def _line_at_epoch(run: Run, epoch: int) -> dict[str, Any] | None:
    lines = [line for line in run.epochs if line["epoch"] <= epoch]
    return lines[-1] if lines else None


def _line_within(run: Run, seconds: float) -> dict[str, Any] | None:
    lines = [line for line in run.epochs if line["seconds"] <= seconds]
    return lines[-1] if lines else None


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _from_predictions(arms: list[_Arm], weights: np.ndarray) -> _Evidence:
    scorers = [list(arm.scorers or ()) for arm in arms]
    base, other = (np.stack([scorer.values() for scorer in each]) for each in scorers)
    resampled = [bootstrap_values(each, weights) for each in scorers]
    return _Evidence(scorers[0][0].names, base, other, resampled[1] - resampled[0])


def _from_metrics(arms: list[_Arm], epoch_of: EpochOf) -> _Evidence:
    lines = [[epoch_of(run) or {} for run in arm.group.runs] for arm in arms]
    classes = list(lines[0][0]["val"].get("per_class") or {})
    names = OVERALL + tuple(f"{PER_CLASS}/{name}" for name in classes)
    base, other = (
        np.array([[_value(line["val"], name) for name in names] for line in each], dtype=float)
        for each in lines
    )
    return _Evidence(names, base, other)


def _value(val: dict[str, Any], name: str) -> float:
    if name.startswith(f"{PER_CLASS}/"):
        entry = (val.get("per_class") or {}).get(name.split("/", 1)[1])
        value = entry.get(PER_CLASS) if isinstance(entry, dict) else entry
    else:
        value = val.get(name)
    return np.nan if value is None else float(value)


def _paired(arms: list[_Arm]) -> bool:
    return arms[0].group.seeds == arms[1].group.seeds


def _rows(evidence: _Evidence, paired: bool, leaked: bool) -> tuple[MetricRow, ...]:
    rows = []
    for column, metric in enumerate(evidence.names):
        base, other = evidence.base[:, column], evidence.other[:, column]
        differences_of_images = (
            None if evidence.image_differences is None else evidence.image_differences[:, column]
        )
        rows.append(_row(metric, base, other, differences_of_images, paired, leaked))
    return tuple(rows)


def _row(
    metric: str,
    base: np.ndarray,
    other: np.ndarray,
    image_differences: np.ndarray | None,
    paired: bool,
    leaked: bool,
) -> MetricRow:
    means = [float(np.nanmean(v)) if not np.isnan(v).all() else None for v in (base, other)]
    known = means[0] is not None and means[1] is not None
    difference = means[1] - means[0] if known else None
    over_seeds = difference_interval(base, other, paired=paired) if known else None
    over_images = percentile_interval(image_differences) if image_differences is not None else None
    return MetricRow(
        metric=metric,
        base=means[0],
        other=means[1],
        base_seeds=mean_interval(base),
        other_seeds=mean_interval(other),
        difference=difference,
        over_seeds=over_seeds,
        over_images=over_images,
        verdict=LEAKED if leaked else verdict(difference, over_seeds, over_images),
    )
