"""The line that names the machine above every measured figure."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine_line() -> str:
    """Return processor, usable cores, memory and Python version in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {_memory()}, Python {platform.python_version()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return platform.processor() or platform.machine()
    lines = information.read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB" if pages else "memory unknown"
