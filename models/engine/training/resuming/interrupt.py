"""Ctrl-C and SIGTERM as a request that the loop answers between two steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interruption(Exception):
    """The work was stopped by a signal.

    Args:
        signal_number: SIGINT or SIGTERM.
        kept: what resuming continues from, for the user.
    """

    def __init__(self, signal_number: int, kept: str = "the checkpoint is saved") -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number
        self.kept = kept

    @property
    def exit_status(self) -> int:
        """What a shell reports for a process ended by this signal: 130 or 143."""
        return 128 + self.signal_number


class InterruptRequest:
    """While active, the first SIGINT or SIGTERM is noted; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> InterruptRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal_number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = number
