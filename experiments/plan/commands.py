"""The commands that train and predict one planned run."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from experiments.plan.runs import Place, PlannedRun, pseudo_file


def train_command(planned: PlannedRun, place: Place, *, epochs: int | None = None) -> list[str]:
    """Return the command that trains one run; `epochs` replaces the arm's own number."""
    settings = planned.arm.settings
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    command = [sys.executable, "-m", "models", "train", settings.model]
    options: dict[str, Any] = {
        "--data": place.data,
        "--work": place.work,
        "--fold": settings.fold,
        "--scale": settings.scale,
        "--seed": planned.seed,
        "--name": planned.name,
        "--mosaic": settings.mosaic or None,
        "--epochs": settings.epochs,
        "--batch": settings.batch,
        "--init": settings.init,
        "--pseudo": pseudo_file(settings, place),
    }
    for option, value in options.items():
        if value is not None:
            command += [option, str(value)]
    for pair in planned.overrides:
        command += ["--set", pair]
    return [*command, "--resume"] if planned.state == "unfinished" else command


def predict_command(planned: PlannedRun, place: Place) -> list[str]:
    """Return the command that predicts the validation images with a finished run."""
    command = [sys.executable, "-m", "models", "predict", str(planned.folder)]
    return [*command, "--split", "val", "--data", str(place.data)]
