"""Runs `process.py`, the program that uses ultralytics, and passes on what it reports.

The two speak through files and lines of JSON only; nothing of ultralytics is imported here.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.ground.files import open_in_place, write_json
from models.engine.libraries.ultralytics.library_paths import LibraryPaths
from models.engine.training.resuming.interrupt import Interruption, InterruptRequest

MODULE = "models.engine.libraries.ultralytics.process"
REPOSITORY = Path(__file__).resolve().parents[4]
_SECONDS_BETWEEN_LOOKS = 0.2


class ProcessFailedError(UserError):
    """The process ended badly without saying why; its log says more."""


def run_job(
    job: Mapping[str, Any],
    library: LibraryPaths,
    on_event: Callable[[dict[str, Any]], None],
    interrupt: InterruptRequest,
) -> None:
    """Do a job in a new process and return when it has ended well.

    Args:
        job: JSON values; `task` is "train" or "predict", see `process.py`.
        library: for the job file, the log, and ultralytics' settings.
        on_event: called with each object that the process reports.
        interrupt: asked between events; a noted signal ends the process.

    Raises:
        UserError: the process reported one.
        ProcessFailedError: it ended badly; the message names its log.
        Interruption: the signal that was noted.
    """
    library.root.mkdir(parents=True, exist_ok=True)
    job_path, log_path = library.job_json(job["task"]), library.log(job["task"])
    write_json(job_path, {**job, "parent": os.getpid()})
    with open_in_place(log_path, "a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(job_path)],
            env=process_environment(library),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is answered here, in the process that keeps the log
        )
    try:
        for event in _events(process, interrupt):
            if event["event"] == "user_error":
                raise UserError(**event["error"])
            on_event(event)
    finally:
        _end(process)
    if process.returncode != 0:
        raise ProcessFailedError(
            f"the ultralytics process ended with status {process.returncode}: "
            f"{_last_line(log_path)}",
            where=log_path,
            next_step="the log has the whole story",
        )


def process_environment(library: LibraryPaths) -> dict[str, str]:
    """Return the environment in which ultralytics stays offline and out of the user's home."""
    settings = library.settings
    settings.mkdir(parents=True, exist_ok=True)
    search_path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(search_path),
        "YOLO_CONFIG_DIR": str(settings.resolve()),
        "MPLCONFIGDIR": str(settings.resolve()),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "WANDB_DISABLED": "true",
    }


def _events(
    process: subprocess.Popen[bytes], interrupt: InterruptRequest
) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None  # it is a pipe
    descriptor, pending = process.stdout.fileno(), b""
    while True:
        if interrupt.signal_number:
            raise Interruption(interrupt.signal_number, "whole epochs are kept")
        ready, _, _ = select.select([descriptor], [], [], _SECONDS_BETWEEN_LOOKS)
        if not ready:
            continue
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return
        *lines, pending = (pending + piece).split(b"\n")
        yield from (json.loads(line) for line in lines)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    try:
        process.wait(timeout=10 if process.poll() is None else None)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it logged nothing")
