"""Test-time augmentation: one pass per named view, each view's boxes kept apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress as ProgressBar

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.paths import RunPaths
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows
from models.engine.config.unfit import refusing_unfit
from models.engine.runs.folder import require_best_checkpoint

if TYPE_CHECKING:
    from models.engine.detector import BuildDetector, Detector
    from models.engine.training.evaluate import Detections


def predict_views(
    build: BuildDetector,
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

    Args:
        build: builds the detector from the run's config.
        paths: run folder.
        config: the run's.
        coco: the images; boxes are not read.
        image_root: folder that file names are relative to.
        views: names, see `models.engine.data.views`; "plain" is the picture as it is.
        provenance: of the predictions; names the same views.
        device: "cpu" or "cuda".
        batch_size: images at once.
        workers: processes that load images.
        console: where progress is shown.

    Returns:
        Predictions whose `views` column says which view a box comes from, and the seconds that
        each view took.
    """
    import torch

    from models.engine.training.device import placed
    from models.engine.training.evaluate import detect, eval_dataset

    torch_device = torch.device(device)
    detector = placed(load_trained(build, paths, config), torch_device, config)
    with ProgressBar(console=console, disable=not console.is_terminal) as bar:

        def detect_view(view: str) -> list[Detections]:
            task = bar.add_task(view, total=len(coco.images))
            return detect(
                detector,
                eval_dataset(config, coco, image_root, view),
                device=torch_device,
                precision=config["precision"],
                batch_size=batch_size,
                workers=workers,
                report=lambda images: bar.advance(task, images),
            )

        results = list(columns_of_views(views, config["category_ids"], detect_view))
    seconds = {view: spent for view, (_, spent) in zip(views, results, strict=True)}
    return join_views([columns for columns, _ in results], coco, provenance), seconds


def columns_of_views(
    views: Sequence[str],
    category_ids: Sequence[int],
    detect_view: Callable[[str], list[Detections]],
) -> Iterator[tuple[Mapping[str, np.ndarray], float]]:
    """Yield each view's columns of boxes and the seconds that they took."""
    from models.engine.training.evaluate import detection_rows

    for view in views:
        start = time.perf_counter()
        detections = detect_view(view)
        yield detection_rows(detections, category_ids), time.perf_counter() - start


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


def load_trained(build: BuildDetector, paths: RunPaths, config: Mapping[str, Any]) -> Detector:
    """Return the detector with the weights of the run's best epoch.

    Raises:
        UserError: there is no such checkpoint yet, it cannot be read, or config and weights do not
            fit together.
    """
    from models.engine.training.resuming.checkpoint import (
        BEST_KEYS,
        load_checkpoint,
        load_weights,
    )

    require_best_checkpoint(paths)
    with refusing_unfit(
        "the model cannot be built from the run's settings",
        where=paths.config_json,
        expected="the file as training wrote it",
        next_step="put the file back, or train the run again",
    ):
        detector = build(config)
    best = load_checkpoint(paths.best_checkpoint, keys=BEST_KEYS)
    with refusing_unfit(
        "the weights do not fit the model",
        where=paths.best_checkpoint,
        expected="weights of the model that config.json describes",
        next_step="put the run's own files back, or train it again",
    ):
        load_weights(detector, best["model"])
    return detector.eval()
