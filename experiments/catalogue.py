"""What there is: the experiments that the kit brings, and the runs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from experiments.leaks import read_validation_truth, run_leaks
from experiments.plan.spec import Experiment, read_experiment
from experiments.plan.spec_file import SHIPPED
from experiments.run_folder import Run, read_runs


@dataclass(frozen=True)
class ListedRun:
    """One line of `experiments list`; `score` is the competition mAP50 of the best epoch."""

    name: str
    state: str
    epochs: str
    score: float | None
    leaked: bool


def shipped_experiments() -> list[Experiment]:
    """Read every experiment file that the kit brings, sorted by name."""
    return [read_experiment(path) for path in sorted(SHIPPED.glob("*.yaml"))]


def listed_runs(work: Path) -> list[ListedRun]:
    """Describe every run under a work root."""
    truth_of_fold: dict[int | None, CocoDataset | None] = {}
    listed = []
    for run in read_runs(work):
        if run.fold not in truth_of_fold:
            truth_of_fold[run.fold] = _truth_or_none(run, work)
        listed.append(_listed(run, run_leaks(run, truth_of_fold[run.fold])))
    return listed


def _truth_or_none(run: Run, work: Path) -> CocoDataset | None:
    try:
        return read_validation_truth(run, work)
    except UserError:
        return None  # the folds are gone: only the leaks that the run recorded are known


def _listed(run: Run, leaks: tuple[str, ...]) -> ListedRun:
    of = run.config.get("epochs", "?")
    return ListedRun(run.name, run.state, f"{run.last_epoch}/{of}", run.best_score, bool(leaks))
