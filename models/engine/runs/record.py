"""The record of a run: written when it begins, brought up to date however it ends."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from data_tools.ground.files import write_json
from data_tools.ground.paths import RunPaths, WorkPaths
from models.engine.runs.folder import (
    clear_results,
    discard_unless_begun,
    file_record,
    now_text,
    update_run,
    versions,
)
from models.engine.runs.leaks import teacher_file_names
from models.engine.runs.restart import SmallerPassesNeeded

if TYPE_CHECKING:
    from models.engine.runs.request import PreparedRun, TrainRequest
    from models.engine.runs.training_data import TrainingData


def open_run_folder(run: PreparedRun) -> None:
    """Write the configuration and the record of a run that begins or goes on."""
    request, data = run.request, run.data
    if run.resume:
        update_run(run.paths, state="running", resumed=now_text(), command=request.command)
        write_json(run.paths.config_json, run.config)
        return
    record = {
        "model": request.model,
        "experiment": run.paths.root.parent.name,
        "fold": request.fold,
        "scale": run.config["scale"],
        "seed": run.config["seed"],
        "command": request.command,
        "state": "running",
        "started": now_text(),
        "finished": None,
        "versions": versions(),
        "device": device_name(run.device),
        "data_root": str(request.data_root),
        "data": data_record(request, data),
        "dataset_fingerprints": {"train": data.train.fingerprint, "val": data.val.fingerprint},
        "train_file_names": list(data.train.file_names),
        "teacher_file_names": list(teacher_file_names(data.train)),
        "leaked": list(run.leaked),
        "skipped_pictures": dict(run.skipped),
    }
    clear_results(run.paths)
    write_json(run.paths.config_json, run.config)
    write_json(run.paths.run_json, record)


def data_record(request: TrainRequest, data: TrainingData) -> dict[str, Any]:
    """Return paths and hashes of the annotation files of a run."""
    own = WorkPaths(request.work_root).train_json(request.fold)
    return {
        "train_json": file_record(own),
        "val_json": file_record(data.val_path),
        "pseudo_json": None if request.pseudo is None else file_record(request.pseudo),
    }


def device_name(device: str) -> str:
    """Return the GPU's name, or `cpu`."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def close_run_folder(run: PreparedRun, error: BaseException, *, is_stop: bool) -> None:
    """Record how a run ended that did not finish; one that never began leaves nothing behind.

    Args:
        run: the run.
        error: what ended it.
        is_stop: the user stopped it.
    """
    # A full disk may be why training ended: that message must not give way to this one.
    with suppress(OSError):
        update_run(run.paths, state="interrupted" if is_stop else "failed")
        if not isinstance(error, SmallerPassesNeeded):
            discard_unless_begun(run.paths)


def finish_run(paths: RunPaths, best: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Mark a run as finished.

    Args:
        paths: its folder.
        best: checkpoint of its best epoch.
        **facts: further entries of `run.json`.

    Returns:
        The content of `finished.json`: the best epoch and its validation scores.
    """
    finished = {"epoch": best["epoch"], "val": best["val"]}
    update_run(paths, state="finished", finished=now_text(), **facts)
    write_json(paths.finished_json, finished)
    return finished
