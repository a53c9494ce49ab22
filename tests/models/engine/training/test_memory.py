"""Out of memory: smaller passes, the same batch."""

from __future__ import annotations

import pytest
import torch

from data_tools.ground.errors import UserError
from models.engine.runs.restart import SmallerPassesNeeded
from models.engine.training.memory import MicroBatches, is_out_of_memory, split_batch


def run_with_limit(batches: MicroBatches, batch_size: int, limit: int) -> list[int]:
    """Pretend that more than `limit` images at once do not fit; return the passes' sizes."""
    undone = []

    def step(parts: int) -> list[int]:
        sizes = [len(part) for part in split_batch(list(range(batch_size)), parts)]
        if max(sizes) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return sizes

    return batches.run(step, lambda: undone.append(True))


@pytest.mark.parametrize(
    ("limit", "sizes", "messages"),
    [(8, [8], 0), (7, [4, 4], 1), (4, [4, 4], 1), (3, [2, 2, 2, 2], 2), (1, [1] * 8, 3)],
)
def test_halved_until_it_fits(limit: int, sizes: list[int], messages: int) -> None:
    said: list[str] = []
    batches = MicroBatches(8, 0, said.append)
    assert run_with_limit(batches, 8, limit) == sizes
    assert len(said) == messages
    assert sum(sizes) == 8
    # The next step starts with what fitted.
    assert run_with_limit(batches, 8, limit) == sizes
    assert len(said) == messages


def test_the_message_says_what_is_done() -> None:
    said: list[str] = []
    run_with_limit(MicroBatches(6, 0, said.append), 6, 3)
    assert "continuing with 3 images at a time, 2 passes per step; the batch stays 6" in said[0]


def test_one_image_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(UserError, match="a single image at a time") as caught:
        run_with_limit(MicroBatches(4, 0, lambda text: None), 4, 0)
    assert "image_size_wh" in caught.value.next_step


def test_with_several_processes_all_have_to_begin_again() -> None:
    batches = MicroBatches(8, 0, lambda text: None, is_alone=False)
    with pytest.raises(SmallerPassesNeeded, match="8 images at a time in one of the") as caught:
        run_with_limit(batches, 8, 4)
    assert caught.value.micro_batch == 4


def test_other_errors_pass_through() -> None:
    def step(parts: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        MicroBatches(4, 0, lambda text: None).run(step, lambda: None)


def test_starts_with_the_size_asked_for() -> None:
    assert MicroBatches(8, 2, lambda text: None).parts == 4
    assert MicroBatches(8, 0, lambda text: None).parts == 1
    assert MicroBatches(4, 16, lambda text: None).parts == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("images", "parts", "sizes"),
    [(4, 1, [4]), (4, 2, [2, 2]), (5, 2, [2, 3]), (2, 8, [1, 1]), (7, 3, [2, 3, 2])],
)
def test_split_keeps_order_and_every_image(images: int, parts: int, sizes: list[int]) -> None:
    batch = split_batch(list(range(images)), parts)
    assert [len(part) for part in batch] == sizes
    assert [image for part in batch for image in part] == list(range(images))
