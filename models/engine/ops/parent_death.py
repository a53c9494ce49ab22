"""Processes that end with the one that started them, even when that one is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the system kill this process as soon as its parent has ended.

    A process that outlives a killed training goes on writing into its run folder, or holds the lock
    that it inherited, while the next training begins. Linux only: elsewhere nothing is done, and
    such a process ends when it next speaks to its parent.

    Args:
        parent: number of the process that started this one, as that one knows it.
    """
    if sys.platform != "linux":
        return
    # The signal also comes when the thread that forked ends: workers are started by main threads.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent and not _exists(parent):
        os._exit(1)  # it ended before the system was asked


def _exists(process: int) -> bool:
    """Tell whether a process is there: between it and this one a server of forks may stand."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
