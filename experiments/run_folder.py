"""Read what a training run left behind: one `Run` per run folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths, WorkPaths
from data_tools.ground.run_names import is_timing
from models.engine.runs.files import FinishedFile, RunFile, read_checked
from models.engine.runs.metrics import metric_lines


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        paths: names inside the run folder.
        info: `run.json`: command, versions, data hashes, training images, state.
        config: `config.json`: the merged configuration.
        steps: lines of `metrics.jsonl` with `kind` "step", in order.
        epochs: lines with `kind` "epoch", one per epoch, ascending; `epoch` is the number of epochs
            done (1 after the first), whatever the file counts from.
        finished: `finished.json`, None for a run that has not ended well.
        torn_lines: lines of `metrics.jsonl` that cannot be read (a run killed while writing).
    """

    paths: RunPaths
    info: dict[str, Any]
    config: dict[str, Any]
    steps: tuple[dict[str, Any], ...]
    epochs: tuple[dict[str, Any], ...]
    finished: dict[str, Any] | None
    torn_lines: int = 0

    @property
    def name(self) -> str:
        """Experiment name and fold: `tood_dcn/fold3`."""
        return f"{self.experiment}/{self.paths.root.name}"

    @property
    def experiment(self) -> str:
        """Experiment name: the folder above the fold's."""
        return self.paths.root.parent.name

    @property
    def fold(self) -> int | None:
        """Fold held out in training."""
        return self.info.get("fold")

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        return self.info.get("seed", self.config.get("seed"))

    @property
    def state(self) -> str:
        """`finished`, `running`, `interrupted`, `failed` or `unknown`."""
        return "finished" if self.finished else self.info.get("state", "unknown")

    @cached_property
    def seconds(self) -> float:
        """Training time so far."""
        return max((float(line["seconds"]) for line in (*self.epochs, *self.steps)), default=0.0)

    @property
    def last_epoch(self) -> int:
        """Number of epochs trained and scored; 0 when there is none."""
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0

    @property
    def best_score(self) -> float | None:
        """Competition mAP50 of the best epoch, whose weights training keeps; None if unscored."""
        scores = [line["val"].get("competition_map50") for line in self.epochs]
        return max((score for score in scores if score is not None), default=None)

    def epochs_until(
        self, *, epoch: int | None = None, seconds: float | None = None
    ) -> tuple[dict[str, Any], ...]:
        """Return the lines of the epochs done by an epoch number and a training time."""
        return tuple(
            line
            for line in self.epochs
            if (epoch is None or line["epoch"] <= epoch)
            and (seconds is None or line["seconds"] <= seconds)
        )

    @property
    def leaked(self) -> tuple[str, ...]:
        """Reasons recorded in the run why its validation score cannot be trusted."""
        return tuple(self.info.get("leaked") or ())


def read_run(folder: str | Path) -> Run:
    """Read one run folder, finished or not.

    Raises:
        UserError: the folder is no run folder, or one of its files is broken.
    """
    paths = RunPaths(Path(folder))
    if not paths.run_json.is_file() or not paths.config_json.is_file():
        raise UserError(
            "this is not a run folder: it lacks `run.json` or `config.json`",
            where=folder,
            expected="a folder such as work/runs/tood_dcn/fold3",
            next_step="`python -m experiments list` names the runs that there are",
        )
    lines, torn = metric_lines(paths.metrics_jsonl)
    return Run(
        paths=paths,
        info=read_checked(paths.run_json, RunFile),
        config=read_checked(paths.config_json, dict[str, Any]),
        steps=tuple(line.record for line in lines if not line.is_epoch),
        epochs=_last_line_of_each_epoch(line.record for line in lines if line.is_epoch),
        finished=read_checked(paths.finished_json, FinishedFile)
        if paths.finished_json.is_file()
        else None,
        torn_lines=torn,
    )


def _last_line_of_each_epoch(lines: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    # A resumed run may score an epoch twice; the later line belongs to the weights that went on.
    by_epoch = {int(line["epoch"]): line for line in lines}
    first = min(by_epoch, default=1)
    return tuple({**by_epoch[epoch], "epoch": epoch + 1 - first} for epoch in sorted(by_epoch))


def find_run_folders(work: Path) -> list[Path]:
    """Return the run folders under a work root, sorted by name, without timing runs."""
    return [
        folder
        for folder in WorkPaths(work).run_folders()
        if RunPaths(folder).config_json.is_file() and not is_timing(folder.parent.name)
    ]


def read_runs(work: Path) -> list[Run]:
    """Read every run under a work root, sorted by name."""
    return [read_run(folder) for folder in find_run_folders(work)]
