"""What a training run is asked for, and the run whose folder is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_tools.ground.paths import RunPaths
from models.engine.runs.training_data import TrainingData


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for; None means: as the recipe or the machine says.

    Attributes:
        model: registry name.
        data_root: folder of the dataset.
        fold: fold that is held out.
        work_root: folder of everything that the kit produces.
        scale: "full", "smoke" or None (full with a GPU, else smoke).
        pseudo: training part of this fold with pseudo-labels, in place of the fold's own.
        mosaic, epochs, batch_size, init, workers, seed, overrides: see `resolve_config`.
        name: experiment name; None derives it from what differs from the recipe.
        resume: continue an unfinished run.
        device: "auto", "cpu" or "cuda".
        wandb: also log to Weights & Biases.
        skip_broken: train without the pictures that cannot be decoded.
        allow_leak: train although the teachers of the pseudo-labels saw the validation fold.
        command: the command line, for the record.
    """

    model: str
    data_root: Path
    fold: int
    work_root: Path
    scale: str | None = None
    pseudo: Path | None = None
    mosaic: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    init: str | None = None
    workers: int | None = None
    seed: int = 42
    overrides: tuple[str, ...] = ()
    name: str | None = None
    resume: bool = False
    device: str = "auto"
    wandb: bool = False
    skip_broken: bool = False
    allow_leak: bool = False
    command: str = ""


@dataclass(frozen=True)
class PreparedRun:
    """A run whose folder is ready: what every training library needs to begin.

    Attributes:
        request: as asked.
        config: resolved config.
        paths: run folder.
        data: datasets.
        device: "cpu" or "cuda".
        resume: continue from the last checkpoint.
        leaked: reasons why its validation score cannot be trusted.
        skipped: why pictures are left out of training and validation, by file name.
        notes: what differs from the settings because of the machine, for the user.
    """

    request: TrainRequest
    config: dict[str, Any]
    paths: RunPaths
    data: TrainingData
    device: str
    resume: bool
    leaked: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Experiment and fold, as in `tood_dcn/fold3`."""
        return f"{self.paths.root.parent.name}/{self.paths.root.name}"
