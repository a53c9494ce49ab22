"""Actions that are killed by a real SIGKILL at a chosen rename, the moment between two files."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any


def killed_at_rename(number: int, action: Callable[[], Any]) -> bool:
    """Do `action` in a copy of this process that is killed instead of its `number`-th rename.

    Returns:
        False if the action ended before it came so far.
    """
    child = os.fork()
    if not child:
        with suppress(BaseException):
            _count_renames(number)
            action()
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"the action failed: {status}"
    return status == signal.SIGKILL


def each_kill(action: Callable[[], Any]) -> Iterator[int]:
    """Yield after `action` was killed at its first rename, at its second, and so on to its last."""
    number = 0
    while killed_at_rename(number, action):
        yield number
        number += 1


def _count_renames(number: int) -> None:
    left = [number]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(count)
