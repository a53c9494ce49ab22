"""Freed memory: kept inside the block, handed back at its end, nothing else changes."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from rich.console import Console
from torch.utils.data import Dataset

from data_tools.ground.paths import RunPaths
from models.engine.data.loader import BatchLoader
from models.engine.ops.freed_memory import freed_memory_kept
from models.engine.training.session import train_detector

# A hundred times 64 MB, written and freed: how many pages did the system have to supply?
COUNT_FAULTS = """
import resource, numpy as np
from models.engine.ops.freed_memory import freed_memory_kept
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(8 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident_mb():
    pages = int(open('/proc/self/statm').read().split()[1])
    return pages * resource.getpagesize() >> 20
before = resident_mb()
print(faults())
with freed_memory_kept():
    print(faults(), resident_mb() - before)
print(faults(), resident_mb() - before)
try:
    with freed_memory_kept():
        faults()
        raise ZeroDivisionError
except ZeroDivisionError:
    print(faults())
with freed_memory_kept(active=False):
    print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_pages_are_reused_inside_the_block_only(repository):
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    numbers = map(int, done.stdout.split())
    plain, kept, kept_mb, after, after_mb, after_error, inactive = numbers
    assert kept < plain / 10
    assert min(after, after_error, inactive) > 10 * kept
    assert 60 < kept_mb < 100, "one block of 64 MB, not a hundred"
    assert after_mb < 30


class MemoryLeftPerSample(Dataset):
    """Each sample is the MB of its own that the process has more after using and freeing 64."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> float:
        process = psutil.Process()
        before = process.memory_full_info().uss
        np.ones(8 << 20)
        return (process.memory_full_info().uss - before) / 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_loading_workers_of_a_process_that_keeps_memory_do_not_keep_it():
    with freed_memory_kept():
        np.ones(8 << 20)  # the worker inherits these pages, and owns what it writes to
        ((left_mb,),) = BatchLoader(MemoryLeftPerSample(), workers=1)
    assert left_mb < 20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_training_on_the_cpu_keeps_memory(tmp_path):
    class ReachedError(Exception):
        pass

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.ones(8 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def build(config: object) -> None:
        faults()  # the first array takes its pages from the system
        kept.append(faults())
        raise ReachedError

    kept: list[int] = []
    run = SimpleNamespace(device="cpu", resume=False, paths=RunPaths(tmp_path), config={"seed": 0})
    with pytest.raises(ReachedError):
        train_detector(run, Console(), build)
    assert kept[0] < faults() / 10


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr("models.engine.ops.freed_memory.ctypes.CDLL", lambda name: object())
    with freed_memory_kept():
        pass
