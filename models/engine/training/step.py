"""One optimizer step: forward, backward, clip, update; in several passes if memory asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models.engine.detector import Detector
from models.engine.training.distributed import World, mean_over_processes
from models.engine.training.memory import split_batch

if TYPE_CHECKING:
    from models.engine.data.sample import Sample

AUTOCAST_DTYPE = {"bf16": torch.bfloat16, "fp16": torch.float16}


class NonFiniteLossError(Exception):
    """The loss or its gradient is NaN or infinite; the weights are still those before the step.

    Attributes:
        losses: by name.
        gradient_norm: of all parameters together.
        samples: the batch; the loop, which knows it, notes it.
    """

    def __init__(self, losses: Mapping[str, float], gradient_norm: float) -> None:
        super().__init__("non-finite loss")
        self.losses = dict(losses)
        self.samples: Sequence[Sample] = ()
        self.gradient_norm = gradient_norm


@dataclass(frozen=True)
class StepResult:
    """Losses of one step, averaged over its passes and all processes."""

    loss: float
    losses: dict[str, float]
    gradient_norm: float


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context of the forward pass: none for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=AUTOCAST_DTYPE[precision])


class Stepper:
    """Does optimizer steps on a detector.

    Args:
        detector: on its device.
        optimizer: over the detector's parameters.
        precision: fp32, bf16 or fp16 (autocast; fp16 with loss scaling).
        clip_grad_norm: largest norm of the gradient; None does not clip.
        device: where the detector is.
        world: the processes that train together; gradients are averaged over them.
    """

    def __init__(
        self,
        detector: Detector,
        optimizer: torch.optim.Optimizer,
        *,
        precision: str,
        clip_grad_norm: float | None,
        device: torch.device,
        world: World,
    ) -> None:
        self.detector = detector
        self.optimizer = optimizer
        self.precision = precision
        self.device = device
        self.world = world
        self.max_norm = math.inf if clip_grad_norm is None else float(clip_grad_norm)
        self.scaler = torch.amp.grad_scaler.GradScaler(device.type, enabled=precision == "fp16")
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._forward = detector if world.size == 1 else _distributed(detector, device)

    def step(self, samples: Sequence[Sample], parts: int) -> StepResult:
        """Do one step on a batch in `parts` passes.

        Raises:
            NonFiniteLossError: before the weights are touched.
        """
        passes = split_batch(samples, parts)
        totals: dict[str, torch.Tensor] = {}
        for number, part in enumerate(passes):
            is_last = number == len(passes) - 1
            with nullcontext() if is_last else self._without_synchronization():
                losses = self._backward(part, len(part) / len(samples))
            for name, value in losses.items():
                totals[name] = totals.get(name, 0) + value
        return self._update(totals)

    def drop_gradients(self) -> None:
        """Forget what a step that failed has accumulated."""
        self.optimizer.zero_grad(set_to_none=True)

    def _backward(self, samples: Sequence[Sample], share: float) -> dict[str, torch.Tensor]:
        with autocast(self.precision, self.device):
            losses = self._forward(samples)
            loss = reduce(add, losses.values())
        self.scaler.scale(loss * share).backward()
        named = {"loss": loss, **losses}
        return {name: value.detach().float() * share for name, value in named.items()}

    def _update(self, totals: dict[str, torch.Tensor]) -> StepResult:
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self._parameters, self.max_norm, foreach=True)
        values = torch.stack([*(value.reshape(()) for value in totals.values()), norm.float()])
        # One transfer from the device per step, also for the check below.
        *numbers, gradient_norm = mean_over_processes(values, self.world).tolist()
        losses = dict(zip(totals, numbers, strict=True))
        # With loss scaling an infinite gradient is normal: the scaler skips that step.
        checked = [*numbers] if self.scaler.is_enabled() else [*numbers, gradient_norm]
        if not all(math.isfinite(number) for number in checked):
            self.drop_gradients()
            raise NonFiniteLossError(losses, gradient_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.drop_gradients()
        total = losses.pop("loss")
        return StepResult(total, losses, gradient_norm)

    def _without_synchronization(self) -> AbstractContextManager[Any]:
        if isinstance(self._forward, DistributedDataParallel):
            return self._forward.no_sync()
        return nullcontext()


def _distributed(detector: Detector, device: torch.device) -> DistributedDataParallel:
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(detector, device_ids=devices, broadcast_buffers=False)
