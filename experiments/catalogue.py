"""What there is: the experiments that the kit brings, and the runs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.run_folder import Run, read_runs
from experiments.spec import Experiment, read_experiment
from experiments.spec_file import SHIPPED


@dataclass(frozen=True)
class ListedRun:
    """One line of `experiments list`."""

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
    return [_listed(run) for run in read_runs(work)]


def _listed(run: Run) -> ListedRun:
    score = run.epochs[-1]["val"].get("competition_map50") if run.epochs else None
    of = run.config.get("epochs", "?")
    return ListedRun(run.name, run.state, f"{run.last_epoch}/{of}", score, bool(run.leaked))
