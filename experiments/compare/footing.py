"""Two arms on one footing, equal epochs or equal training time: which scores count, and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.files import read_predictions
from experiments.compare.arms_on_disk import RunGroup
from experiments.compare.comparison import LEAKED, Basis, Kind, MetricRow
from experiments.leaks import prediction_leaks
from experiments.run_folder import Run
from scoring.uncertainty.bootstrap import OVERALL, PER_CLASS, ImageScorer, bootstrap_values
from scoring.uncertainty.intervals import (
    FEWEST_IMAGES,
    Interval,
    difference_interval,
    mean_interval,
    percentile_interval,
    verdict,
)

# Runs whose training times differ by less than this share count as trained for the same time.
SAME_TIME = 0.05

Line = dict[str, Any]


class PredictionReader:
    """Reads and matches each prediction file once, however many tables need it."""

    def __init__(self, truth: CocoDataset) -> None:
        self.truth = truth
        self._known: dict[Path, tuple[ImageScorer, tuple[str, ...]]] = {}

    def read(self, path: Path) -> tuple[ImageScorer, tuple[str, ...]]:
        """Return the matched predictions of a file and why their score cannot be trusted."""
        if path not in self._known:
            predictions = read_predictions(path, self.truth)
            scorer = ImageScorer.from_predictions(predictions, self.truth)
            self._known[path] = scorer, prediction_leaks(predictions, self.truth)
        return self._known[path]


@dataclass(frozen=True)
class _OverImages:
    """(R, V) differences on resampled images, and the (V,) numbers of images behind each value."""

    differences: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class _Evidence:
    """Values per seed, (S, V) for each arm, and where predictions exist (R, V) differences.

    The last ones come from the bootstrap over images.
    """

    names: tuple[str, ...]
    base: np.ndarray
    other: np.ndarray
    over_images: _OverImages | None = None


def compare_on(
    kind: Kind,
    groups: tuple[RunGroup, RunGroup],
    reader: PredictionReader,
    weights: np.ndarray,
    leaked: bool,
) -> Basis:
    """Compare two arms at equal epochs or at equal training time.

    Each run counts with the best epoch that it had reached by then, which is the one whose
    weights training would have kept.

    Args:
        kind: `epochs` or `time`.
        groups: the base and the other arm.
        reader: of the validation truth.
        weights: (R, I) bootstrap counts of the images.
        leaked: whether either arm's score cannot be trusted; every verdict then says so.
    """
    runs = [run for group in groups for run in group.runs]
    title, allowed = _footing(kind, runs)
    best = {run.name: best_epoch(allowed(run)) for run in runs}
    chosen = {name: line for name, line in best.items() if line is not None}
    late = [name for name in best if name not in chosen]
    if late:
        return Basis(kind, title, (), (f"no score: {', '.join(late)} had no epoch done by then",))
    files = [[_prediction_file(run, chosen[run.name]) for run in group.runs] for group in groups]
    notes = []
    kept = [[file for file in arm if file is not None] for arm in files]
    if [len(arm) for arm in kept] == [len(arm) for arm in files]:
        evidence = _from_predictions(kept, reader, weights)
    else:
        evidence = _from_metrics([[chosen[run.name] for run in group.runs] for group in groups])
        notes.append(_why_no_image_interval(runs))
    if min(len(group.runs) for group in groups) < 2:
        notes.append("one seed: how much retraining alone moves the score was not measured")
    few = _names_with_few_images(evidence)
    if few:
        notes.append(
            f"truth in fewer than {FEWEST_IMAGES} images, so no interval over images: "
            + ", ".join(few)
        )
    if any(len(allowed(run)) < len(run.epochs) for run in runs):
        notes.append("a longer run is read in mid-schedule, before its learning rate has fallen")
    rows = _rows(evidence, groups[0].seeds == groups[1].seeds, leaked)
    return Basis(kind, title, rows, tuple(notes))


def best_epoch(lines: Sequence[Line]) -> Line | None:
    """Return the epoch whose weights training would have kept: the first of the highest score."""
    if not lines:
        return None
    scores = [line["val"].get("competition_map50") for line in lines]
    return lines[int(np.argmax([-1.0 if score is None else score for score in scores]))]


def _prediction_file(run: Run, line: Line) -> Path | None:
    """Predictions with the weights of an epoch: the final ones, or those kept for that epoch."""
    is_final = line is best_epoch(run.epochs)
    # Lines count epochs done, the paths count from 0.
    kept = run.paths.epoch_predictions(line["epoch"] - 1)
    path = run.paths.predictions("val") if is_final else kept
    return path if path.is_file() else None


def _why_no_image_interval(runs: list[Run]) -> str:
    unpredicted = [run.name for run in runs if not run.paths.predictions("val").is_file()]
    if unpredicted:
        names = ", ".join(unpredicted)
        return f"no interval over images: not predicted yet (`python -m models predict`): {names}"
    return "no interval over images: the predictions kept are of later epochs"


def _footing(kind: Kind, runs: list[Run]) -> tuple[str, Callable[[Run], tuple[Line, ...]]]:
    """Title, and what picks the epochs of a run that count on this footing."""
    if kind == "epochs":
        count = min(run.last_epoch for run in runs)
        return f"at equal epochs ({count})", lambda run: run.epochs_until(epoch=count)
    ends = _training_seconds(runs)
    # Within the tolerance a run's last epoch counts although it ended seconds later.
    limit = max(ends) if trained_equally_long(runs) else min(ends)
    title = f"at equal training time ({_duration(min(ends))})"
    return title, lambda run: run.epochs_until(seconds=limit)


def _training_seconds(runs: Sequence[Run]) -> list[float]:
    return [float(run.epochs[-1]["seconds"]) for run in runs]


def trained_equally_long(runs: Sequence[Run]) -> bool:
    """Whether the runs' training times differ by no more than `SAME_TIME` of the shortest."""
    ends = _training_seconds(runs)
    return max(ends) <= min(ends) * (1 + SAME_TIME)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _from_predictions(
    files: list[list[Path]], reader: PredictionReader, weights: np.ndarray
) -> _Evidence:
    scorers = [[reader.read(file)[0] for file in arm] for arm in files]
    base, other = (np.stack([scorer.values() for scorer in arm]) for arm in scorers)
    resampled = [bootstrap_values(arm, weights) for arm in scorers]
    first = scorers[0][0]
    differences = resampled[1] - resampled[0]
    over_images = _OverImages(differences, first.images_with_truth)
    return _Evidence(first.names, base, other, over_images)


def _names_with_few_images(evidence: _Evidence) -> list[str]:
    if evidence.over_images is None:
        return []
    pairs = zip(evidence.names, evidence.over_images.images, strict=True)
    return [name.split("/", 1)[-1] for name, images in pairs if images < FEWEST_IMAGES]


def _from_metrics(lines: list[list[Line]]) -> _Evidence:
    classes = list(lines[0][0]["val"].get("per_class") or {})
    names = OVERALL + tuple(f"{PER_CLASS}/{name}" for name in classes)
    base, other = (
        np.array([[_value(line["val"], name) for name in names] for line in arm], dtype=float)
        for arm in lines
    )
    return _Evidence(names, base, other)


def _value(val: dict[str, Any], name: str) -> float:
    if name.startswith(f"{PER_CLASS}/"):
        entry = (val.get("per_class") or {}).get(name.split("/", 1)[1])
        value = entry.get(PER_CLASS) if isinstance(entry, dict) else entry
    else:
        value = val.get(name)
    return np.nan if value is None else float(value)


def _rows(evidence: _Evidence, paired: bool, leaked: bool) -> tuple[MetricRow, ...]:
    rows = []
    for column, metric in enumerate(evidence.names):
        base, other = evidence.base[:, column], evidence.other[:, column]
        over_images, few_images = None, False
        if evidence.over_images is not None:
            images = int(evidence.over_images.images[column])
            differences = evidence.over_images.differences[:, column]
            over_images = percentile_interval(differences, images)
            few_images = images < FEWEST_IMAGES
        row = _row(metric, base, other, over_images, paired)
        if leaked or few_images:
            row = replace(row, verdict=LEAKED if leaked else "not established")
        rows.append(row)
    return tuple(rows)


def _row(
    metric: str,
    base: np.ndarray,
    other: np.ndarray,
    over_images: Interval | None,
    paired: bool,
) -> MetricRow:
    first, second = _mean_or_none(base), _mean_or_none(other)
    difference, over_seeds = None, None
    if first is not None and second is not None:
        difference = second - first
        over_seeds = difference_interval(base, other, paired=paired)
    return MetricRow(
        metric=metric,
        base=first,
        other=second,
        base_seeds=mean_interval(base),
        other_seeds=mean_interval(other),
        difference=difference,
        over_seeds=over_seeds,
        over_images=over_images,
        verdict=verdict(difference, over_seeds, over_images),
    )


def _mean_or_none(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
