"""Runs of images on threads: in order, whatever finishes first, and none waits for a failed one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from benchmarks.fusion_members import drawn_member
from benchmarks.fusion_members import make_dataset as square_images
from ensemble.engine import fuse_table
from ensemble.kernels.chunks import Places, cut_into_chunks, run_chunks
from ensemble.member_table import build_table
from ensemble.settings import FusionSettings


def test_no_images_make_no_chunks():
    assert cut_into_chunks(np.array([0])) == []
    repairs = run_chunks(lambda run, first, last: np.ones(4, int), [], Places(), 2, None)
    assert repairs.tolist() == [0, 0, 0, 0]


def test_places_follow_the_order_of_the_runs():
    places, found = Places(), {}

    def work(run, first, last):
        found[run] = places.take(run, size=10 * (run + 1))
        return np.zeros(4, int)

    run_chunks(work, [(n, n + 1) for n in range(6)], places, 3, None)
    assert found == {0: 0, 1: 10, 2: 30, 3: 60, 4: 100, 5: 150}


@pytest.mark.timeout(60)
def test_a_failing_run_stops_those_that_wait_for_it():
    places = Places()

    def work(run, first, last):
        if run == 1:
            raise MemoryError("no room")
        places.take(run, size=1)
        return np.zeros(4, int)

    with pytest.raises(MemoryError, match="no room"):
        run_chunks(work, [(n, n + 1) for n in range(9)], places, 3, None)


def test_a_large_table_is_not_copied():
    dataset = square_images(20_000)
    members = [drawn_member(dataset, seed) for seed in range(3)]
    names = ("offsets", "labels", "scores", "boxes_xyxy", "views")
    size = sum(getattr(member, name).nbytes for member in members for name in names)
    fuse_table(build_table(members, dataset), FusionSettings(), threads=1)
    tracemalloc.start()
    fuse_table(build_table(members, dataset), FusionSettings(), threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Room for the result is as large as the input here; a copy of the members would be once more.
    assert peak < 1.9 * size
