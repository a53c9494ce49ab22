"""Whether memory that is freed stays with the process, for training on the CPU.

A step on the CPU allocates and frees the same few hundred large tensors again and again. glibc
hands blocks of more than 32 MB, and a heap whose end is free, back to the system each time, and
the next step pays for every page anew: up to an eighth of its time, see
docs/performance/train_step.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of mallopt's parameters, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4


@contextmanager
def freed_memory_kept(active: bool = True) -> Iterator[None]:
    """Keep what is freed inside the block for the next allocation; hand it back at its end.

    The process takes no more than at its fullest moment. Without glibc nothing changes.

    Args:
        active: False leaves everything as it is.
    """
    if not active:
        yield
        return
    keep_freed_memory()
    try:
        yield
    finally:
        return_freed_memory()


def keep_freed_memory() -> None:
    """Let this process keep every page from now on."""
    _set_options({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1})


def return_freed_memory() -> None:
    """Hand free pages back to the system, now and from now on, as glibc does by itself.

    By itself glibc raises its limits as blocks are freed; these are the largest that it reaches.
    """
    _set_options({M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20})
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _set_options(values: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for parameter, value in values.items():
        mallopt(ctypes.c_int(parameter), ctypes.c_int(value))
