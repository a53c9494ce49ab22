"""Faults of the machine: full disks, few descriptors, little memory, vanishing files, no rights."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.robustness.case import Case
from tests.robustness.events import on_file_events
from tests.robustness.forking import Limits
from tests.robustness.harness import Harness
from tests.robustness.lines import Line
from tests.robustness.oracles import find_faults
from tests.robustness.trees import snapshot

NOBODY = 65534
# Of Linux' sched.h and mount.h: mounts of one's own, which are told to nobody, folders below too.
NEW_MOUNTS, PRIVATE = 0x20000, 0x40000 | 0x4000
SECONDS = 60.0


@dataclass(frozen=True)
class Fault:
    """One fault of the machine.

    Attributes:
        name: what it is, with its number.
        limits: limits of the process.
        prepare: done in the process before the command starts; it is given the world.
    """

    name: str
    limits: Limits
    prepare: Callable[[Path], object] | None = None


def fault_case(harness: Harness, line: Line, seed: int) -> Case:
    """Call a line under one fault: it must end with 0 or 2, and leave nothing half done."""
    harness.restore()
    fault = drawn_fault(random.Random(seed))
    world, prepare = harness.place.world, fault.prepare
    before = snapshot(world)
    outcome = harness.call(
        line,
        line.arguments,
        limits=fault.limits,
        prepare=None if prepare is None else lambda: prepare(world),
    )
    findings = find_faults(harness.place, line, outcome, before, harness.around)
    # What was removed on purpose, and what a refusal after the last rename leaves, is no fault.
    accepted = {"vanishing": "input", "E": "partial"}
    kinds = [kind for start, kind in accepted.items() if fault.name.startswith(start)]
    findings = [finding for finding in findings if finding.kind not in kinds]
    if fault.name.startswith("read-only"):
        os.chmod(world / "out", 0o755)  # noqa: PTH101 - as it was
    return Case("faulty", line, [fault.name], outcome, findings, seed)


def drawn_fault(rng: random.Random) -> Fault:
    """Draw one fault with its size or moment."""
    number = rng.randrange(40)
    size = rng.choice((0, 1, 100, 512, 4096, 20_000))
    # With less the thread pools of libraries end the process before the kit is asked.
    files = rng.choice((4, 6, 8, 12, 16))
    kibibytes = rng.choice((4, 8, 16, 32, 64, 256))
    megabytes = rng.choice((64, 96, 128, 192, 256))
    name = rng.choice(sorted(_ERRORS))
    return rng.choice(
        (
            Fault(f"files of {size} bytes at most", Limits(SECONDS, file_bytes=size)),
            Fault(f"{files} open files", Limits(SECONDS, open_files=files)),
            Fault(f"{megabytes} MiB of memory", Limits(SECONDS, memory_bytes=megabytes << 20)),
            Fault(f"vanishing file at opening {number}", Limits(SECONDS),
                  lambda world: _vanish(world, number)),
            Fault(f"disk of {kibibytes} KiB", Limits(SECONDS),
                  lambda world: _small_disk(world / "out", kibibytes)),
            Fault("read-only output folder", Limits(SECONDS), _without_rights),
            Fault(f"{name} at file operation {number % 8}", Limits(SECONDS),
                  lambda _: _refuse(number % 8, _ERRORS[name])),
        )
    )  # fmt: skip


_ERRORS = {
    name: getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EIO",
        "EACCES",
        "EROFS",
        "EBUSY",
        "ESTALE",
        "EMFILE",
        "ENFILE",
        "ELOOP",
        "EFBIG",
    )
}


def _vanish(world: Path, number: int) -> None:
    """Remove the file of the world that is the n-th to be opened, right before it is opened."""
    left, removing = [number], [False]

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or removing[0] or not isinstance(arguments[0], str):
            return
        path = Path(arguments[0])
        path = path if path.is_absolute() else world / path
        if world not in path.parents or not path.is_file():
            return
        if left[0] == 0:
            removing[0] = True
            path.unlink()
        left[0] -= 1

    sys.addaudithook(heard)


def _small_disk(folder: Path, kibibytes: int) -> None:
    """Mount a disk of that size over a folder, for this process alone; needs the rights of root.

    What is written there is gone with the process.
    """
    system = ctypes.CDLL(None)
    if system.unshare(NEW_MOUNTS) == 0 and system.mount(None, b"/", None, PRIVATE, None) == 0:
        size = f"size={kibibytes}k".encode()
        system.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, size)


def _without_rights(world: Path) -> None:
    """Become a user who may read everything in the world and write nothing."""
    (world / "out").chmod(0o555)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _refuse(number: int, code: int) -> None:
    """Let the n-th operation that changes files fail with an error of the operating system."""
    left = [number]

    def strike(_: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise OSError(code, os.strerror(code))

    on_file_events(strike)
