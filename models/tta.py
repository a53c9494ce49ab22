"""Test-time augmentation: one pass per named view, each view's boxes kept apart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress as ProgressBar

from data_tools.coco import CocoDataset
from data_tools.errors import UserError
from data_tools.paths import RunPaths
from data_tools.predictions import Predictions, predictions_from_rows
from data_tools.provenance import Provenance


def predict_views(
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
    import torch

    from models.training.assembly import in_wanted_layout
    from models.training.evaluate import detect, detection_rows, eval_dataset

    torch_device = torch.device(device)
    model = in_wanted_layout(load_trained(paths, config).to(torch_device), config)
    columns, seconds = [], {}
    with ProgressBar(console=console, disable=not console.is_terminal) as bar:
        for name in views:
            task = bar.add_task(name, total=len(coco.images))
            start = time.perf_counter()
            detections = detect(
                model,
                eval_dataset(config, coco, image_root, "identity" if name == "plain" else name),
                device=torch_device,
                precision=config["precision"],
                batch_size=batch_size,
                workers=workers,
                report=lambda images, task=task: bar.advance(task, images),
            )
            seconds[name] = time.perf_counter() - start
            columns.append(detection_rows(detections, config["category_ids"]))
    return join_views(columns, coco, provenance), seconds


def join_views(
    columns: Sequence[Mapping[str, np.ndarray]], coco: CocoDataset, provenance: Provenance
) -> Predictions:
    """Return one table of the boxes of all views, in the order of `provenance.views`."""
    numbers = [
        np.full(len(view["scores"]), number, np.uint8) for number, view in enumerate(columns)
    ]
    joined = {key: np.concatenate([view[key] for view in columns]) for key in columns[0]}
    return predictions_from_rows(
        coco.image_ids, **joined, views=np.concatenate(numbers), provenance=provenance
    )


def load_trained(paths: RunPaths, config: Mapping[str, Any]) -> Any:
    """Return the detector with the weights of the run's best epoch.

    Raises:
        UserError: there is no such checkpoint yet, or it cannot be read.
    """
    from models.build import build_detector
    from models.training.checkpoint import load_checkpoint, load_weights

    if not paths.best_checkpoint.is_file():
        raise UserError(
            "the run has no best checkpoint: not one epoch was scored",
            where=paths.root,
            next_step="train it for at least one epoch",
        )
    model = build_detector(config)
    load_weights(model, load_checkpoint(paths.best_checkpoint)["model"])
    return model.eval()
