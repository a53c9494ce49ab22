"""Turn what the user names on the command line into arms: runs that differ only in their seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths, WorkPaths, begun_runs
from data_tools.ground.run_names import split_seed
from experiments.run_folder import Run, find_run_folders, read_run


@dataclass(frozen=True)
class RunGroup:
    """Runs of one arm, ascending by seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Seed of each run."""
        return tuple(run.seed for run in self.runs)


def find_group(name: str, work: Path) -> RunGroup:
    """Find the runs that a name means.

    Args:
        name: a run folder (`work/runs/yolox/fold3`), an experiment folder (`work/runs/yolox`), or
            either without `-seed42`, which means all seeds; the name alone is looked up under the
            work root's `runs/`.
        work: work root.

    Raises:
        UserError: nothing of that name; the message lists the runs that there are.
    """
    for path in (Path(name), WorkPaths(work).runs / name):
        folders = _run_folders(path)
        if folders:
            runs = sorted((read_run(f) for f in folders), key=lambda run: (run.seed or 0, run.name))
            _refuse_mixed_folds(name, runs)
            return RunGroup(_group_name(runs), tuple(runs))
    known = [f"{f.parent.name}/{f.name}" for f in find_run_folders(work)]
    raise UserError(
        f"there is no run {name!r}",
        where=WorkPaths(work).runs,
        expected=f"one of {', '.join(known)}" if known else "a run; there are none yet",
        next_step="`python -m experiments list` shows experiments and runs",
    )


def _run_folders(path: Path) -> list[Path]:
    if RunPaths(path).run_json.is_file():
        return [path]
    if path.is_dir():
        return begun_runs(path)
    seeds = [f for f in sorted(path.parent.glob(f"{path.name}-*")) if _is_seed_of(f, path.name)]
    return [run for folder in seeds for run in begun_runs(folder)]


def _is_seed_of(folder: Path, name: str) -> bool:
    stem, seed = split_seed(folder.name)
    return stem == name and seed is not None


def _group_name(runs: list[Run]) -> str:
    if len(runs) == 1:
        return runs[0].name
    names = {split_seed(run.experiment)[0] for run in runs}
    return ", ".join(sorted(names))


def _refuse_mixed_folds(name: str, runs: list[Run]) -> None:
    folds = sorted({run.fold for run in runs if run.fold is not None})
    if len(folds) > 1:
        raise UserError(
            f"{name!r} means runs of the folds {', '.join(map(str, folds))}",
            expected="runs of one fold: their validation images differ",
            next_step=f"name one, such as {name}/fold{folds[0]}",
        )
