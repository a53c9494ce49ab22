"""Which library trains and predicts: imported only here, and only when a command needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from data_tools.predictions.table import Predictions
    from models.engine.detector import BuildDetector
    from models.engine.runs.request import PreparedRun

Train = Callable[["PreparedRun", Console], Mapping[str, Any]]
# As `models.engine.training.tta.predict_views`, from `paths` on.
Predict = Callable[..., "tuple[Predictions, dict[str, float]]"]


def training_of(library: str) -> Train:
    """Return what trains a prepared run to its end and returns the content of `finished.json`."""
    if library == "ultralytics":
        from models.engine.libraries.ultralytics.train import train_yolo11

        return train_yolo11
    from models.engine.training.session import train_detector

    return partial(train_detector, build=_build(library))


def prediction_of(library: str) -> Predict:
    """Return what predicts with a run's best weights."""
    if library == "ultralytics":
        from models.engine.libraries.ultralytics.predict import predict_yolo11

        return predict_yolo11
    from models.engine.training.tta import predict_views

    return partial(predict_views, _build(library))


def _build(library: str) -> BuildDetector:
    assert library == "mmdet", library
    from models.engine.libraries.mmdet.detector import MmdetDetector

    return MmdetDetector
