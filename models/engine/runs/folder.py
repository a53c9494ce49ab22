"""The run folder: what a run was told to do, what it is doing, what came out."""

from __future__ import annotations

import datetime
import fcntl
import json
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.files import open_in_place, sha256_of_file, write_json
from data_tools.ground.nested import flattened
from data_tools.ground.paths import RunPaths
from data_tools.ground.version import VERSION
from data_tools.predictions.provenance import Provenance
from models.engine.runs.after_kill import tidy
from models.engine.runs.files import ConfigFile, RunFile, read_checked
from models.engine.runs.restart import forget_micro_batch

# Settings that may change on resuming: they do not alter what is computed.
FREE_TO_CHANGE = ("workers", "performance.", "checkpoint.", "log.")
# How long a killed training's processes may still hold the run.
SECONDS_TO_END = 2.0
_PACKAGES = ("torch", "torchvision", "onedl-mmdetection", "onedl-mmcv", "numpy")


def now_text() -> str:
    """Return the time as ISO 8601 with time zone, to the second."""
    return datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="seconds")


def read_run(paths: RunPaths) -> dict[str, Any]:
    """Read `run.json`.

    Raises:
        UserError: the folder is not a run's.
    """
    return _read_json(paths, paths.run_json, RunFile)


def read_config(paths: RunPaths) -> dict[str, Any]:
    """Read the merged configuration of a run.

    Raises:
        UserError: the folder is not a run's.
    """
    return _read_json(paths, paths.config_json, ConfigFile)


def _read_json(paths: RunPaths, path: Path, kind: type[Any]) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"this is not the folder of a run: it has no {path.name}",
            where=paths.root,
            expected="a folder that `python -m models train` wrote, such as work/runs/yolox/fold3",
            next_step="python -m models train MODEL --data DIR --fold K",
        )
    return read_checked(path, kind)


def require_best_checkpoint(paths: RunPaths) -> None:
    """Check that a run has weights to predict with.

    Raises:
        UserError: not one epoch was scored.
    """
    if not paths.best_checkpoint.is_file():
        raise UserError(
            "the run has no best checkpoint: not one epoch was scored",
            where=paths.root,
            next_step="train it for at least one epoch",
        )


def update_run(paths: RunPaths, **changes: Any) -> None:
    """Change entries of `run.json`."""
    write_json(paths.run_json, {**read_run(paths), **changes})


def existing_run(paths: RunPaths, config: Mapping[str, Any], *, resume: bool) -> str:
    """Say how to go on from what is in the run folder: `fresh`, `resume` or `finished`.

    Raises:
        UserError: an unfinished run without `--resume`, or another configuration than before.
    """
    if not paths.run_json.is_file():
        return "fresh"
    if paths.finished_json.is_file():
        _refuse_other_config(paths, config)
        return "finished"
    if not resume:
        raise UserError(
            "an unfinished run is there already",
            where=paths.root,
            next_step="add --resume to continue it, give another --name, or remove the folder",
        )
    _refuse_other_config(paths, config)
    return "resume"


def _refuse_other_config(paths: RunPaths, config: Mapping[str, Any]) -> None:
    before, now = flattened(read_config(paths)), flattened(config)
    differing = [
        f"{key} was {json.dumps(before.get(key))}, is {json.dumps(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not key.startswith(FREE_TO_CHANGE)
    ]
    if differing:
        shown = "; ".join(differing[:5]) + ("; ..." if len(differing) > 5 else "")
        raise UserError(
            f"the run there was started with {len(differing)} other settings: {shown}",
            where=paths.root,
            expected="the same settings",
            next_step="give the options it was started with (run.json, `command`), or another "
            "--name for a new run",
        )


def refuse_other_data(paths: RunPaths, data: Mapping[str, Any]) -> None:
    """Check that a run goes on with the annotation files that it began with.

    Args:
        paths: folder of a run that began before.
        data: as in the `data` entry of `run.json`.

    Raises:
        UserError: a file has another content, or there is another one.
    """
    before = read_run(paths)["data"]
    changed = [
        str((data[key] or before[key])["path"])
        for key in data
        if (data[key] or {}).get("sha256") != (before.get(key) or {}).get("sha256")
    ]
    if changed:
        raise UserError(
            f"the run there was started with other annotations: {', '.join(changed)}",
            where=paths.root,
            expected="the same files as before (run.json, `data`, has their SHA-256)",
            next_step="put them back, or give another --name for a new run",
        )


@contextmanager
def sole_trainer(paths: RunPaths) -> Iterator[None]:
    """Hold the run folder for the time of the block; the system frees it however we end.

    What a killed training left there is put right first.

    Raises:
        UserError: another process is training this run.
    """
    paths.root.mkdir(parents=True, exist_ok=True)
    with open_in_place(paths.lock, "a") as file:
        if not _locked_within(SECONDS_TO_END, file):
            raise UserError(
                "another process is training this run",
                where=paths.root,
                next_step="wait for it, or give this one another --name",
            )
        tidy(paths)
        yield


def _locked_within(seconds: float, file: IO[str]) -> bool:
    """Lock the file; processes of a training that was just killed take a moment to end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def discard_unless_begun(paths: RunPaths) -> None:
    """Remove a run folder in which nothing was trained: a mistake leaves nothing behind."""
    has_metrics = paths.metrics_jsonl.is_file() and paths.metrics_jsonl.stat().st_size
    if has_metrics or paths.has_traces():
        return
    clear_results(paths)
    paths.config_json.unlink(missing_ok=True)
    paths.run_json.unlink(missing_ok=True)
    paths.lock.unlink(missing_ok=True)
    for folder in (paths.root, paths.root.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def clear_results(paths: RunPaths) -> None:
    """Remove what an earlier start left that a fresh one writes anew."""
    paths.metrics_jsonl.unlink(missing_ok=True)
    forget_micro_batch(paths)
    for folder in (paths.checkpoints, paths.tensorboard):
        if folder.is_dir():
            shutil.rmtree(folder)


def versions() -> dict[str, str]:
    """Return the versions of the kit, Python and the packages that decide results."""
    installed = {package: _version(package) for package in _PACKAGES}
    return {"boxcamp": VERSION, "python": platform.python_version(), **installed}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def file_record(path: Path) -> dict[str, str]:
    """Return a file's path and SHA-256."""
    return {"path": str(path), "sha256": sha256_of_file(path)}


def command_text(arguments: list[str] | None = None) -> str:
    """Return the command line that is running, as one would type it."""
    return "python -m models " + shlex.join(sys.argv[1:] if arguments is None else arguments)


def run_provenance(record: dict[str, Any], coco: CocoDataset, views: tuple[str, ...]) -> Provenance:
    """Return where predictions of a run come from."""
    files = record["data"]
    trained_on = files["pseudo_json"] or files["train_json"]
    return Provenance(
        dataset=coco.fingerprint,
        model=record["model"],
        run=record["experiment"],
        fold=record["fold"],
        annotation_sha256={Path(trained_on["path"]).name: trained_on["sha256"]},
        train_file_names=tuple(record["train_file_names"]),
        teacher_file_names=tuple(record["teacher_file_names"]),
        views=views,
        leaked=tuple(record["leaked"]),
    )
