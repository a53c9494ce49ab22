"""Out of memory: smaller micro-batches, same effective batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch

from data_tools.ground.errors import UserError
from models.engine.runs.restart import SmallerPassesNeeded

Item = TypeVar("Item")
Result = TypeVar("Result")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a device that ran out of memory from any other failure."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU allocator and cuDNN raise a plain RuntimeError.
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text.lower()
    )


class MicroBatches:
    """How many images go through the model at once; halved whenever memory runs out.

    Args:
        batch_size: images of this process in one optimizer step.
        micro_batch: images at once to begin with; 0 for the whole batch.
        report: called with a sentence whenever the size changes.
        is_alone: False where other processes would have to follow.
    """

    def __init__(
        self,
        batch_size: int,
        micro_batch: int,
        report: Callable[[str], None],
        *,
        is_alone: bool = True,
    ) -> None:
        self.batch_size = batch_size
        self.size = min(micro_batch or batch_size, batch_size)
        self._report = report
        self._is_alone = is_alone

    @property
    def parts(self) -> int:
        """Forward-backward passes per optimizer step."""
        return math.ceil(self.batch_size / self.size)

    def run(self, step: Callable[[int], Result], undo: Callable[[], None]) -> Result:
        """Call `step(parts)` until it fits into memory.

        Args:
            step: does one optimizer step in `parts` passes, gradients accumulated.
            undo: drops the gradients of a step that did not fit.

        Raises:
            UserError: one image at a time does not fit either.
            SmallerPassesNeeded: it does not fit, and other processes take part.
        """
        while True:
            try:
                return step(self.parts)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                message = str(error).splitlines()[0]
            # Outside the except block: the traceback would keep the activations alive.
            undo()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(message)

    def _halve(self, message: str) -> None:
        if self.size == 1:
            raise UserError(
                f"out of memory with a single image at a time ({message})",
                next_step="train at a smaller size, for example --set image_size_wh=[768,768]",
            )
        if not self._is_alone:
            raise SmallerPassesNeeded(
                f"out of memory with {self.size} images at a time in one of the processes "
                f"({message}); --resume continues with {self.size // 2}, the batch stays the same",
                self.size // 2,
            )
        self.size //= 2
        self._report(
            f"out of memory: continuing with {self.size} images at a time, "
            f"{self.parts} passes per step; the batch stays {self.batch_size} "
            "(losses are normalized per pass, BN statistics are taken per pass)"
        )


def split_batch(batch: Sequence[Item], parts: int) -> list[list[Item]]:
    """Split a batch into at most `parts` passes of nearly equal length, in order, none empty."""
    parts = max(1, min(parts, len(batch)))
    bounds = [round(part * len(batch) / parts) for part in range(parts + 1)]
    return [list(batch[a:b]) for a, b in pairwise(bounds)]
