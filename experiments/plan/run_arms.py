"""Train the arms of an experiment that are missing, one after the other, each in a process."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from data_tools.ground.run_names import timing_name
from experiments.plan.commands import predict_command, train_command
from experiments.plan.runs import Place, PlannedRun, pseudo_file, require_unchanged
from experiments.plan.spec import Experiment
from experiments.run_folder import read_run

Say = Callable[[str], None]
Start = Callable[[list[str]], int]


@dataclass(frozen=True)
class Outcome:
    """What happened to one planned run: `trained`, `resumed`, `predicted` or `skipped`."""

    planned: PlannedRun
    action: str


def run_experiment(
    experiment: Experiment,
    planned_runs: list[PlannedRun],
    place: Place,
    *,
    say: Say,
    start: Start | None = None,
) -> list[Outcome]:
    """Train what is missing, resume what is unfinished, leave finished runs alone.

    Args:
        experiment: the experiment; its arms were checked by `plan_runs`.
        planned_runs: the runs, in order.
        place: data and work roots.
        say: receives one line per run.
        start: runs a command and returns its exit status; None starts a process.

    Raises:
        UserError: a pseudo-label file is missing, a finished run has other settings, or training
            failed; runs that finished before it stay finished.
    """
    start = start or _start_process
    for planned in planned_runs:
        _require_pseudo_file(planned, place)
    epochs_of_arm = _epochs_for_equal_minutes(experiment, planned_runs, place, say, start)
    outcomes = []
    for number, planned in enumerate(planned_runs, start=1):
        say(f"[{number}/{len(planned_runs)}] {planned.name}: {planned.state}")
        epochs = epochs_of_arm.get(planned.arm.name)
        outcomes.append(Outcome(planned, _bring_to_end(planned, place, epochs, start)))
    return outcomes


def _bring_to_end(planned: PlannedRun, place: Place, epochs: int | None, start: Start) -> str:
    state = planned.state
    if state == "finished":
        require_unchanged(planned, any_epochs=epochs is not None)
        action = "skipped"
    else:
        _call(train_command(planned, place, epochs=epochs), planned, start)
        action = "trained" if state == "missing" else "resumed"
    if not RunPaths(planned.folder).predictions("val").is_file():
        _call(predict_command(planned, place), planned, start)
        action = "predicted" if action == "skipped" else action
    return action


def _start_process(command: list[str]) -> int:
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches the training too, which saves its checkpoint and ends. `subprocess.run`
            # would kill it a quarter of a second later.
            process.wait()
            raise
        except BaseException:
            # A SIGTERM reaches this process alone: the training saves its checkpoint too.
            process.terminate()
            process.wait()
            raise


def _call(command: list[str], planned: PlannedRun, start: Start) -> None:
    status = start(command)
    if status != 0:
        raise UserError(
            f"the command for arm {planned.arm.name!r}, seed {planned.seed}, ended with status "
            f"{status}",
            where=shlex.join(command),
            expected="status 0; its own message is above",
            next_step="correct that and run the experiment again: finished runs are kept",
        )


def _require_pseudo_file(planned: PlannedRun, place: Place) -> None:
    path = pseudo_file(planned.arm.settings, place)
    if path is not None and not path.is_file():
        fold = planned.arm.settings.fold
        raise UserError(
            f"arm {planned.arm.name!r} needs pseudo-labels that are not there",
            where=path,
            expected=f"fold {fold}'s training images plus pseudo-labelled test images",
            next_step=f"make pseudo FOLD={fold}, or `python -m data_tools pseudo --help`",
        )


def _epochs_for_equal_minutes(
    experiment: Experiment, planned_runs: list[PlannedRun], place: Place, say: Say, start: Start
) -> dict[str, int]:
    """Epochs per arm that fit in the experiment's minutes; measured on one epoch of each arm."""
    if experiment.equal != "minutes" or experiment.minutes is None:
        return {}
    epochs_of_arm: dict[str, int] = {}
    for planned in planned_runs:
        if planned.arm.name in epochs_of_arm:
            continue
        minutes = _minutes_per_epoch(planned, place, say, start)
        epochs_of_arm[planned.arm.name] = max(1, round(experiment.minutes / minutes))
        say(
            f"{planned.arm.name}: {minutes:.2f} min/epoch, so {epochs_of_arm[planned.arm.name]} "
            f"epochs in {experiment.minutes:g} minutes"
        )
    return epochs_of_arm


def _minutes_per_epoch(planned: PlannedRun, place: Place, say: Say, start: Start) -> float:
    name = timing_name(planned.name)
    folder = planned.folder.parent.parent / name / planned.folder.name
    timing = replace(planned, name=name, folder=Path(folder))
    if timing.state != "finished":
        say(f"{timing.name}: one epoch to measure its time")
        _call(train_command(timing, place, epochs=1), timing, start)
    run = read_run(timing.folder)
    minutes = run.info.get("minutes_per_epoch") or run.seconds / 60
    if not minutes > 0:
        raise UserError("the timing run recorded no training time", where=timing.folder)
    return float(minutes)
