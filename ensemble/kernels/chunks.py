"""Runs of images, worked on by threads, that write one output without waiting for its size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np

from data_tools.ground.cores import usable_cores

# Small enough that a run's arrays stay in the cache, that memory does not grow with the table and
# that threads finish together; large enough that the calls themselves cost nothing.
ROWS_PER_CHUNK = 40_000

Progress = Callable[[int], None]


class Places:
    """Gives each run of images its place in the output, in the order of the runs."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._next_run = 0
        self._end = 0
        self._given_up = False

    def take(self, run: int, size: int) -> int:
        """Return the first row for `size` fused boxes, as soon as all earlier runs have theirs."""
        with self._condition:
            self._condition.wait_for(lambda: self._next_run == run or self._given_up)
            start = self._end
            self._next_run, self._end = run + 1, start + size
            self._condition.notify_all()
        return start

    def give_up(self) -> None:
        """Let nobody wait any longer: an earlier run has failed and the result is thrown away."""
        with self._condition:
            self._given_up = True
            self._condition.notify_all()


def cut_into_chunks(slots: np.ndarray) -> list[tuple[int, int]]:
    """Cut the images into runs of about `ROWS_PER_CHUNK` rows."""
    images = len(slots) - 1
    pieces = max(1, int(slots[-1]) // ROWS_PER_CHUNK)
    targets = np.linspace(0, int(slots[-1]), pieces + 1)[1:-1]
    cuts = np.unique(np.concatenate([[0], np.searchsorted(slots, targets), [images]]))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def run_chunks(
    work: Callable[[int, int, int], np.ndarray],
    chunks: Sequence[tuple[int, int]],
    places: Places,
    threads: int | None,
    progress: Progress | None,
) -> np.ndarray:
    """Do the work on all runs of images, earlier ones first; return the sum of their repairs."""
    repairs = np.zeros(4, np.int64)
    # Threads of our own instead of numba's: its thread layers crash when used from two threads or
    # after a fork, compile for seconds longer and cannot report progress.
    with ThreadPoolExecutor(max_workers=threads or usable_cores()) as pool:
        images_of = {
            pool.submit(work, run, first, last): last - first
            for run, (first, last) in enumerate(chunks)
        }
        try:
            for future in as_completed(images_of):
                repairs += future.result()
                if progress:
                    progress(images_of[future])
        except BaseException:
            places.give_up()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return repairs
