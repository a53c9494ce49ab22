"""What the engine asks of a detector, whichever library it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.engine.data.eval_dataset import EvalSample
from models.engine.data.sample import Sample


@dataclass(frozen=True)
class DetectedBoxes:
    """What a detector found in one picture of a batch.

    Attributes:
        boxes_xyxy: (n, 4) in the pixels of the sample's `image`.
        scores: (n,) in 0..1.
        labels: (n,) class indices, as `Sample.labels`.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor


class Detector(nn.Module, ABC):
    """A torch module that the loop, resuming, averaging, views and several processes work on.

    Batches are lists of pictures of any size in main memory: a detector brings them to its own
    device, pads and normalizes them itself. It may draw random numbers from torch's generators and
    from no others, so that a resumed run draws the same. The names in its `state_dict` are those in
    checkpoints.
    """

    @abstractmethod
    def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
        """Return the named losses of a batch, each a number; training minimizes their sum."""

    @abstractmethod
    def predict(self, batch: Sequence[EvalSample]) -> list[DetectedBoxes]:
        """Return what is found in each picture of a batch, in its order."""

    @abstractmethod
    def use_box_weights(self) -> None:
        """From now on multiply each true box's terms of the loss with its `Sample.weights` entry.

        Called once, before training, and only where some box has another weight than 1.
        """

    @abstractmethod
    def load_initial_weights(self) -> str | None:
        """Load what the configuration's `init` names; return what was loaded, in one line.

        Raises:
            UserError: there are no such weights, or they are of another architecture.
        """

    def set_epoch(self, epoch: int) -> None:
        """Change what changes from one epoch to the next; called before each, which count from 0.

        Here nothing does.
        """

    def forward(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
        """Return the losses: torch joins several processes around this call."""
        return self.loss(batch)


# Builds a detector with random weights, drawn from torch's generator, from a resolved config.
BuildDetector = Callable[[Mapping[str, Any]], Detector]
