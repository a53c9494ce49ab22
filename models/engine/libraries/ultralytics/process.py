"""The program that uses ultralytics, run as a module with one argument, `JOB.json`.

ultralytics is AGPL-3.0, and so is what runs in this process. Only this folder's `library_*`
modules import it, and only this program imports those. It reports to its parent in lines of JSON
on standard output; everything else that is printed goes to standard error, which is the log.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from models.engine.ops.parent_death import end_with_parent

Report = Callable[..., None]


def main(job_path: str) -> None:
    """Do the job that the file describes."""
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    # It must not write into the run's folder while the next training goes on there.
    end_with_parent(job["parent"])
    report = _reporter()
    refuse_network()
    try:
        if job["task"] == "train":
            from models.engine.libraries.ultralytics.library_training import train

            train(job, report)
        else:
            from models.engine.libraries.ultralytics.library_detection import predict

            predict(job, report)
    except UserError as error:
        fields = ("what", "where", "expected", "next_step")
        report("user_error", error={name: getattr(error, name) for name in fields})


def refuse_network() -> None:
    """Make every connection over the internet fail at once: nothing here needs one.

    ultralytics looks for updates, fonts and weights in many places; refusing at the socket holds
    for those of later versions too. Sockets between the processes of a data loader still work.
    """

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise ConnectionRefusedError(f"Boxcamp keeps this process offline: {address}")
        _connect(self, address)

    _connect = socket.socket.connect
    socket.socket.connect = connect  # type: ignore[method-assign, assignment]  # socket.pyi is narrower


def _reporter() -> Report:
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(event: str, **values: Any) -> None:
        # A closed pipe raises: without its parent this process ends.
        channel.write(json.dumps({"event": event, **values}) + "\n")

    return report


if __name__ == "__main__":
    main(sys.argv[1])
