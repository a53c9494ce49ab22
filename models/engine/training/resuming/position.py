"""Where a run stands, as plain numbers that go into its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Position:
    """Where a run stands.

    Attributes:
        epoch: the epoch being trained, from 0.
        step: optimizer steps done in it.
        seconds: training time so far, validation included, over all starts.
        loss_sum: sum of the losses of this epoch's steps.
        best_score: highest validation score so far; -1 before the first.
        best_epoch: the epoch of that score.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    best_score: float = -1.0
    best_epoch: int = -1
