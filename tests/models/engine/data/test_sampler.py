"""The order of an epoch: complete, reproducible, enterable at any batch, shared by ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.ground.errors import UserError
from models.engine.data.randomness import Purpose, generator
from models.engine.data.sampler import LANES, EpochSampler, epoch_order

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 12), st.integers(1, 5), st.integers(0, 9))


def test_no_images_is_an_error():
    with pytest.raises(UserError, match="no image to train on"):
        EpochSampler(0, 4, 42)


@given(SIZES)
def test_every_image_is_shown_repeat_times_and_the_last_batch_is_filled_up(drawn):
    size, batch_size, repeat, seed = drawn
    indices, repetitions = epoch_order(size, batch_size, seed, 0, repeat)
    assert indices.shape == (-(-size * repeat // batch_size), batch_size)
    first = list(zip(indices.ravel(), repetitions.ravel(), strict=True))[: size * repeat]
    assert sorted(first) == [(i, r) for i in range(size) for r in range(repeat)]
    everything = list(zip(indices.ravel(), repetitions.ravel(), strict=True))
    assert len(set(everything)) == len(everything), "the same sample twice"


def test_order_changes_with_epoch_and_seed_only():
    orders = {
        key: epoch_order(50, 5, *key)[0].tobytes() for key in ((1, 0), (1, 1), (2, 0), (2, 1))
    }
    assert len(set(orders.values())) == 4
    assert orders[(1, 1)] == epoch_order(50, 5, 1, 1)[0].tobytes()


@given(SIZES, st.data())
def test_resuming_at_a_batch_gives_the_tail(drawn, data):
    size, batch_size, repeat, seed = drawn
    whole = list(EpochSampler(size, batch_size, seed, epoch=3, repeat=repeat))
    start = data.draw(st.integers(0, len(whole)))
    resumed = EpochSampler(size, batch_size, seed, epoch=3, start_batch=start, repeat=repeat)
    assert len(resumed) == len(whole) - start
    assert list(resumed) == whole[start:]


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_ranks_partition_the_global_batch(size, share, world_size, seed):
    batch_size = share * world_size
    alone = list(EpochSampler(size, batch_size, seed))
    ranks = [
        list(EpochSampler(size, batch_size, seed, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    for number, batch in enumerate(alone):
        together = [key for rank in ranks for key in rank[number]]
        assert [key[:4] for key in together] == [key[:4] for key in batch]


def test_a_batch_that_ranks_cannot_share_is_an_error():
    with pytest.raises(UserError, match="6 cannot be shared equally by 4 processes"):
        EpochSampler(10, 6, 42, world_size=4)


def test_set_epoch_outside_the_epoch_is_refused():
    sampler = EpochSampler(10, 5, 42)
    sampler.set_epoch(1, 2)
    assert list(sampler) == []
    with pytest.raises(ValueError, match="batch 3 of 2"):
        sampler.set_epoch(1, 3)


def test_epoch_is_taken_when_iteration_starts():
    sampler = EpochSampler(8, 4, 42)
    batches = iter(sampler)
    next(batches)
    sampler.set_epoch(1)
    assert {key.epoch for key in next(batches)} == {0}


def test_pool_holds_images_of_the_same_lane():
    """With 1, 2, 4 or 8 workers one of them decodes batches b, b - 8, b - 16, ..."""
    batches = list(EpochSampler(1000, 4, 42))
    lane_of_image = {key.index: key.batch % LANES for batch in batches for key in batch}
    for batch in (batches[100], batches[3]):
        pool = batch[0].pool
        assert len(pool) == len(set(pool)) == 40
        assert {key.index for key in batch} <= set(pool)
    # 250 batches: reaching back beyond the start wraps to the end, which shifts the lane.
    assert {lane_of_image[index] for index in batches[100][0].pool} == {100 % LANES}


def test_pool_of_a_small_dataset_is_the_dataset():
    keys = next(iter(EpochSampler(5, 4, 42)))
    assert sorted(keys[0].pool) == sorted(set(keys[0].pool))
    assert set(keys[0].pool) <= set(range(5))
    assert EpochSampler(5, 4, 42, pool_size=0)._pool(np.zeros((2, 4), int), 0) == ()


def test_streams_of_different_keys_differ():
    """NumPy alone takes (1, 2) and (1, 2, 0) for the same seed."""
    keys = [(purpose, 1, *rest) for purpose in Purpose for rest in ((), (2,), (2, 0), (2, 0, 0))]
    first_numbers = {generator(*key).random() for key in keys}
    assert len(first_numbers) == len(keys)
    assert generator(*keys[2]).random() == generator(*keys[2]).random()
