"""Compare arms: at equal epochs and at equal training time, with intervals, factors and leaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from experiments.compare.arms_on_disk import RunGroup
from experiments.compare.comparison import Comparison
from experiments.compare.footing import PredictionReader, compare_on, trained_equally_long
from experiments.factors import Difference, comparable_inputs, differences, factors
from experiments.leaks import read_validation_truth, run_leaks
from experiments.run_folder import Run
from scoring.uncertainty.bootstrap import image_samples


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
    reader = PredictionReader(truth)
    groups = (base, other)
    leaked = {group.name: found for group in groups if (found := _leaks(group, reader))}
    differing = differences(comparable_inputs(base.runs[0]), comparable_inputs(other.runs[0]))
    weights = image_samples(len(truth.images), samples, seed)
    return Comparison(
        base=base.name,
        other=other.name,
        seeds=(base.seeds, other.seeds),
        differing=tuple(differing),
        warnings=tuple(_warnings(base, other, differing)),
        leaked=leaked,
        bases=tuple(
            compare_on(kind, groups, reader, weights, bool(leaked)) for kind in ("epochs", "time")
        ),
    )


def _leaks(group: RunGroup, reader: PredictionReader) -> tuple[str, ...]:
    reasons: list[str] = []
    for run in group.runs:
        reasons += run_leaks(run, reader.truth)
        path = run.paths.predictions("val")
        if path.is_file():
            reasons += reader.read(path)[1]
    return tuple(dict.fromkeys(reasons))


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


def _warnings(base: RunGroup, other: RunGroup, differing: list[Difference]) -> list[str]:
    warnings = []
    names = factors(differing)
    runs = (*base.runs, *other.runs)
    if "epochs" in names and len(names) > 1 and trained_equally_long(runs):
        # The price of equal training time, not a second cause.
        names.remove("epochs")
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
