"""Several processes, one training: started by torchrun, read from its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed
from torch import nn

from data_tools.ground.errors import UserError
from models.engine.training.resuming.interrupt import Interruption

Gathered = TypeVar("Gathered")


@dataclass(frozen=True)
class World:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """True for the one process that writes files and talks to the terminal."""
        return self.rank == 0

    def share_of_batch(self, batch_size: int) -> int:
        """Return this process's images per step; the recipe's batch is that of all together.

        Raises:
            UserError: the batch cannot be shared out evenly.
        """
        if batch_size % self.size:
            raise UserError(
                f"a batch of {batch_size} cannot be shared evenly by {self.size} processes",
                expected="a multiple of the number of GPUs: it is the batch of all together",
                next_step=f"add --batch {-(-batch_size // self.size) * self.size}",
            )
        return batch_size // self.size


def world_from_environment() -> World:
    """Return the place that torchrun gave this process; a world of one without torchrun."""
    return World(
        rank=int(os.environ.get("RANK", 0)),
        size=int(os.environ.get("WORLD_SIZE", 1)),
        local_rank=int(os.environ.get("LOCAL_RANK", 0)),
    )


@contextmanager
def process_group(world: World, device: torch.device) -> Iterator[None]:
    """Join the other processes for the time of the block; nothing to do when alone.

    After a failure the group is left to the end of the process: ending it waits for the others.
    """
    if world.size == 1:
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, rank=world.rank, world_size=world.size)
    try:
        yield
    except Interruption:  # all processes agreed on it
        torch.distributed.destroy_process_group()
        raise
    torch.distributed.destroy_process_group()


def is_lost_connection(error: RuntimeError) -> bool:
    """Tell the end of another process from a failure of this one."""
    text = str(error)
    return isinstance(error, torch.distributed.DistError) or (
        "gloo" in text and ("onnection" in text or "timeout" in text.lower())
    )


def mean_over_processes(values: torch.Tensor, world: World) -> torch.Tensor:
    """Return the element-wise mean of every process's tensor."""
    if world.size > 1:
        torch.distributed.all_reduce(values)
        values = values / world.size
    return values


def gather_objects(value: Gathered, world: World) -> list[Gathered]:
    """Return every process's value, by rank, in every process."""
    if world.size == 1:
        return [value]
    values = [value] * world.size
    torch.distributed.all_gather_object(values, value)
    return values


def maximum_over_processes(values: list[int], world: World) -> list[int]:
    """Return the element-wise largest of every process's numbers, so that all agree."""
    if world.size == 1:
        return values
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor(values, device=device)
    torch.distributed.all_reduce(tensor, op=torch.distributed.ReduceOp.MAX)
    return tensor.tolist()


def broadcast_from_main(model: nn.Module, world: World) -> None:
    """Give every process the main process's weights and buffers (BN statistics differ)."""
    if world.size > 1:
        for value in model.state_dict().values():
            torch.distributed.broadcast(value, src=0)


def barrier(world: World) -> None:
    """Wait until every process is here."""
    if world.size > 1:
        torch.distributed.barrier()
