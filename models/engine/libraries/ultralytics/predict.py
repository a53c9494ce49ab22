"""`models predict` for a yolo11 run: ultralytics' process detects, this makes the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress as ProgressBar

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.paths import RunPaths
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions
from models.engine.libraries.ultralytics.library_paths import library_paths
from models.engine.libraries.ultralytics.worker import run_job
from models.engine.runs.folder import require_best_checkpoint
from models.engine.training.resuming.interrupt import InterruptRequest
from models.engine.training.tta import join_views


def predict_yolo11(
    paths: RunPaths,
    config: Mapping[str, Any],
    coco: CocoDataset,
    image_root: Path,
    *,
    views: Sequence[str],
    provenance: Provenance,
    device: str,
    batch_size: int,
    workers: int,
    console: Console,
) -> tuple[Predictions, dict[str, float]]:
    """Predict every image in every view with the run's best weights.

    Returns:
        Predictions whose `views` column says which view a box comes from, and the seconds that
        each view took.
    """
    require_best_checkpoint(paths)
    out = library_paths(paths).boxes_npz.resolve()
    job = {
        "task": "predict",
        "config": dict(config),
        "run": str(paths.root.resolve()),
        "coco_json": str(_file_of(coco).resolve()),
        "image_ids": coco.image_ids.tolist(),  # without those that are broken
        "image_root": str(image_root.resolve()),
        "device": device,
        "batch_size": batch_size,
        "workers": workers,
        "views": list(views),
        "out": str(out),
    }
    seconds: dict[str, float] = {}
    with ProgressBar(console=console, disable=not console.is_terminal) as bar:
        tasks = {name: bar.add_task(name, total=len(coco.images)) for name in views}

        def receive(event: dict[str, Any]) -> None:
            if event["event"] == "images":
                bar.advance(tasks[event["view"]], event["images"])
            else:
                seconds[event["view"]] = event["seconds"]

        with InterruptRequest() as interrupt:
            run_job(job, library_paths(paths), receive, interrupt)
    columns = _read_columns(out, len(views))
    return join_views(columns, coco, provenance), seconds


def _file_of(coco: CocoDataset) -> Path:
    assert coco.source is not None  # it was read from a file
    return Path(coco.source)


def _read_columns(path: Path, views: int) -> list[dict[str, np.ndarray]]:
    with np.load(path) as arrays:
        names = {name.partition(".")[2] for name in arrays.files}
        columns = [{name: arrays[f"{view}.{name}"] for name in names} for view in range(views)]
    path.unlink()
    return columns
