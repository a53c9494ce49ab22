"""Checkpoints that ultralytics' trainer resumes from, as tensors and plain values alone.

ultralytics pickles whole objects and runs what a file says when it reads one. Here the trainer's
state is written as the kit writes all checkpoints, and the objects are built anew around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import unwrap_model

from data_tools.ground.errors import UserError
from models.engine.config.unfit import refusing_unfit
from models.engine.training.resuming.checkpoint import load_checkpoint, save_checkpoint

_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "epoch": int,
    "average": Mapping,
    "updates": int,
    "optimizer": Mapping,
    "scaler": Mapping,
    "best_fitness": (float, type(None)),
    "stopper": Mapping,
}
_NEXT_STEP = "remove that file: --resume then trains again from the first epoch"


def save_state(path: Path, trainer: Any) -> None:
    """Write what a trainer needs to go on after this epoch, whole or not at all."""
    _heal(trainer.ema.ema, unwrap_model(trainer.model))
    best = trainer.best_fitness
    stopper = trainer.stopper
    state = {
        "epoch": int(trainer.epoch),
        "average": {
            name: value.detach().cpu() for name, value in trainer.ema.ema.state_dict().items()
        },
        "updates": int(trainer.ema.updates),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_fitness": None if best is None else float(best),
        "stopper": {
            "best_fitness": float(stopper.best_fitness),
            "best_epoch": int(stopper.best_epoch),
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, state)


def read_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        UserError: it is damaged or no such file; the next step is to remove it.
    """
    try:
        return load_checkpoint(path, keys=_KEYS)
    except UserError as error:
        raise UserError(
            error.what, where=error.where, expected=error.expected, next_step=_NEXT_STEP
        ) from error


class CheckpointReader:
    """Stands in for ultralytics' `load_checkpoint`: rebuilds its objects around our tensors.

    Args:
        model_yaml: name of the file, among ultralytics' own, that draws the network.
        classes: their number.
        arguments: what the trainer was told, without `resume`.
    """

    def __init__(self, model_yaml: str, classes: int, arguments: Mapping[str, Any]) -> None:
        self._model_yaml, self._classes = model_yaml, classes
        self._arguments = dict(arguments)

    def __call__(self, path: str | Path, *_: Any, **__: Any) -> tuple[nn.Module, dict[str, Any]]:
        """Return the network with its averaged weights, and the trainer's state with it inside."""
        state = read_state(Path(path))
        model: Any = DetectionModel(self._model_yaml, nc=self._classes, verbose=False)
        with refusing_unfit(
            "the checkpoint does not fit the run",
            where=path,
            expected="the checkpoint that this run wrote",
            next_step=_NEXT_STEP,
        ):
            model.load_state_dict(state.pop("average"))
        model.args = vars(get_cfg(overrides=self._arguments))
        return model, {**state, "ema": model}


def refuse_pickles() -> None:
    """Let torch read tensors only in this process, whoever asks."""
    load = torch.load

    def load_tensors(*arguments: Any, **options: Any) -> Any:
        return load(*arguments, **{**options, "weights_only": True})

    torch.load = load_tensors


def _heal(average: nn.Module, model: nn.Module) -> None:
    """Give an average that once took in a number that is not finite the live weights instead.

    It would never become finite again by itself.
    """
    live = model.state_dict()
    for name, value in average.state_dict().items():
        if not torch.isfinite(value).all() and torch.isfinite(live[name]).all():
            value.copy_(live[name])
