"""Run an action in a child process with limits, and say how it ended.

The parent has imported the kit; a child is a fork of it and costs some milliseconds instead of the
seconds that a new interpreter takes. The parent itself runs no code of the kit, so that no thread
exists at the time of the fork.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TRACEBACK_STATUS = 70
LONGEST_OUTPUT = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a child may use; None is no limit.

    Attributes:
        seconds: wall-clock time, after which the child and its children are killed.
        memory_bytes: address space beyond what the parent had at the fork.
        file_bytes: size of a file that is written; beyond it writing fails with EFBIG.
        open_files: open files beyond those that the parent had at the fork.
    """

    seconds: float = 30.0
    memory_bytes: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None


NO_LIMITS = Limits(seconds=3600.0)


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes:
        status: exit status, or minus the signal's number.
        output: what it wrote to stdout.
        errors: what it wrote to stderr, its traceback included.
        seconds: wall-clock time.
        hung: it was killed because its time was up.
        grown_bytes: peak resident memory beyond the parent's at the fork.
    """

    status: int
    output: str
    errors: str
    seconds: float
    hung: bool
    grown_bytes: int

    @property
    def has_traceback(self) -> bool:
        """Whether an exception reached the top, in the child or in a process of its own."""
        return (
            self.status == TRACEBACK_STATUS
            or "Traceback (most recent call last)" in self.errors + self.output
        )


def run_forked(
    action: Callable[[], object],
    *,
    folder: Path,
    limits: Limits = NO_LIMITS,
    prepare: Callable[[], object] | None = None,
    kill_after: float | None = None,
) -> Outcome:
    """Run `action` in a forked child whose working directory is `folder`.

    Args:
        action: what to run; `SystemExit` gives the status, any other exception a traceback.
        folder: the child's working directory.
        limits: time, memory and files.
        prepare: called in the child before the limits take effect.
        kill_after: send SIGKILL to the child after so many seconds.
    """
    resident, started = _resident_bytes(), time.perf_counter()
    # Pipes, since a limit on the size of files would hold for messages in a file too.
    pipes = [os.pipe(), os.pipe()]
    process = os.fork()
    if process == 0:
        _be_child(action, folder, limits, prepare, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    said: dict[int, bytearray] = {read: bytearray() for read, _ in pipes}
    waiting = limits.seconds if kill_after is None else min(kill_after, limits.seconds)
    in_time = _ends_within(process, said, started + waiting)
    if not in_time:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    _kill_group(process)
    output, errors = (_all_of(read, text) for read, text in said.items())
    return Outcome(
        status=os.waitstatus_to_exitcode(status),
        output=output,
        errors=errors,
        seconds=seconds,
        hung=not in_time and kill_after is None,
        grown_bytes=max(usage.ru_maxrss * 1024 - resident, 0),
    )


def _be_child(
    action: Callable[[], object],
    folder: Path,
    limits: Limits,
    prepare: Callable[[], object] | None,
    writers: Sequence[int],
) -> None:
    status = TRACEBACK_STATUS
    try:
        os.setsid()
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, writer in enumerate(writers, 1):
            os.dup2(writer, number)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), _writer(1), _writer(2)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if prepare is not None:
            prepare()
        _set_limits(limits)
        action()
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:  # noqa: BLE001 - the child ends here; its parent reads the traceback
        _lift_limits()
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status & 255)


def _writer(number: int) -> IO[str]:
    return os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _set_limits(limits: Limits) -> None:
    if limits.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    if limits.open_files is not None:
        _lower(
            resource.RLIMIT_NOFILE, len(list(Path("/proc/self/fd").iterdir())) + limits.open_files
        )
    if limits.memory_bytes is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory_bytes)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (wanted, hard))


def _lift_limits() -> None:
    # Printing a traceback opens the files of its frames and needs memory.
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def _ends_within(process: int, said: dict[int, bytearray], deadline: float) -> bool:
    """Read what the child says until it ends; False if it has not by the deadline."""
    handle = os.pidfd_open(process)
    poller = select.poll()
    for number in (handle, *said):
        poller.register(number, select.POLLIN)
    try:
        while (left := deadline - time.perf_counter()) > 0:
            for number, _ in poller.poll(left * 1000):
                if number == handle:
                    return True
                if not (text := os.read(number, 1 << 16)):
                    poller.unregister(number)
                if len(said[number]) < LONGEST_OUTPUT:
                    said[number] += text
        return False
    finally:
        os.close(handle)


def _all_of(reader: int, text: bytearray) -> str:
    """Return what was read and what is still in the pipe, which a stranger may hold open."""
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        while len(text) < LONGEST_OUTPUT and (more := os.read(reader, 1 << 16)):
            text += more
    os.close(reader)
    return text.decode("utf-8", errors="replace")


def _kill_group(process: int) -> None:
    # Whatever the child started and left behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
