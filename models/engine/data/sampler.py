"""The order of an epoch: a function of seed and epoch, so it can be entered at any batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from data_tools.ground.errors import UserError
from models.engine.data.randomness import Purpose, generator
from models.engine.data.sample import SampleKey

POOL_SIZE = 40
"""Images that a mosaic may draw from; mmdet's CachedMosaic keeps as many."""

LANES = 8
"""A mosaic draws from its own batch and every LANES-th batch before it. `DataLoader` deals batches
out in turn, so with 1, 2, 4 or 8 workers those were decoded by the same worker and still lie in its
cache; with another number of workers the samples are the same and more images are decoded."""


class EpochSampler(Sampler[list[SampleKey]]):
    """Batches of sample keys for `DataLoader(batch_sampler=...)`.

    Every epoch shows every image `repeat` times in a new order. Batches are always full: the last
    one is filled up from the start of the order, with other augmentations.

    Args:
        size: number of images.
        batch_size: size of the global batch, over all ranks.
        seed: of the run.
        epoch: 0 for the first; change it with `set_epoch`.
        start_batch: first batch to give, for resuming inside an epoch.
        rank: of this process.
        world_size: number of processes; each gets an equal part of every batch.
        repeat: showings of each image per epoch.
        pool_size: images that mosaic and mixup may draw from; 0 means all, without locality.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        *,
        epoch: int = 0,
        start_batch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        repeat: int = 1,
        pool_size: int = POOL_SIZE,
    ) -> None:
        if size < 1:
            raise UserError("there is no image to train on", expected="at least one image")
        if batch_size < 1 or batch_size % world_size:
            raise UserError(
                f"the batch size {batch_size} cannot be shared equally by {world_size} processes",
                expected=f"a multiple of {world_size}",
                next_step="change --batch",
            )
        self.size, self.batch_size, self.seed, self.repeat = size, batch_size, seed, repeat
        self.rank, self.world_size, self.pool_size = rank, world_size, pool_size
        self.batches_per_epoch = -(-size * repeat // batch_size)
        self.set_epoch(epoch, start_batch)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose what the next iteration gives; workers learn the epoch from the keys."""
        if not 0 <= start_batch <= self.batches_per_epoch:
            raise ValueError(f"batch {start_batch} of {self.batches_per_epoch}")
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        return self.batches_per_epoch - self.start_batch

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch = self.epoch
        indices, repetitions = epoch_order(
            self.size, self.batch_size, self.seed, epoch, self.repeat
        )
        share = self.batch_size // self.world_size
        mine = slice(self.rank * share, (self.rank + 1) * share)
        for batch in range(self.start_batch, self.batches_per_epoch):
            pool = self._pool(indices[:, mine], batch)
            yield [
                SampleKey(epoch, index, repetition, batch, pool)
                for index, repetition in zip(
                    indices[batch, mine].tolist(), repetitions[batch, mine].tolist(), strict=True
                )
            ]

    def _pool(self, own_indices: np.ndarray, batch: int) -> tuple[int, ...]:
        if not self.pool_size:
            return ()
        count = -(-self.pool_size // own_indices.shape[1])
        batches = (batch - LANES * np.arange(count)) % self.batches_per_epoch
        members = own_indices[batches].ravel().tolist()
        return tuple(dict.fromkeys(members))[: self.pool_size]


def epoch_order(
    size: int, batch_size: int, seed: int, epoch: int, repeat: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the order of one epoch.

    Returns:
        Image indices and repetition numbers, both (batches, batch_size) int64. No pair of index
        and repetition occurs twice.
    """
    showings = size * repeat
    order = generator(Purpose.ORDER, seed, epoch).permutation(showings)
    batches = -(-showings // batch_size)
    rounds, places = np.divmod(np.arange(batches * batch_size), showings)
    chosen = order[places]
    shape = (batches, batch_size)
    return (chosen % size).reshape(shape), (chosen // size + repeat * rounds).reshape(shape)
