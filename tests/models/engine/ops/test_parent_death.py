"""A process that asked for it ends with its parent, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux offers this")

# Its child says its own number and then sleeps for a minute.
PARENT = """
import os, time
from models.engine.ops.parent_death import end_with_parent
me = os.getpid()
if not os.fork():
    {end_with_parent}
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""


def ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize(("asked", "ends"), [("end_with_parent(me)", True), ("pass", False)])
def test_a_child_ends_when_its_parent_is_killed(number, asked, ends, repository):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(end_with_parent=asked)],
        stdout=subprocess.PIPE, text=True, cwd=repository,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    parent.wait()
    assert ends_within(child, 5 if ends else 0.3) == ends
    if not ends:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_asks_too_late_ends_at_once(repository):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert outcome_with_parent(gone.pid, repository) == (1, "")


def test_a_server_of_forks_between_the_two_is_no_reason_to_end(repository):
    between = subprocess.Popen(["sleep", "60"])  # alive, and not the parent
    assert outcome_with_parent(between.pid, repository) == (0, "still here\n")
    between.kill()
    between.wait()


def outcome_with_parent(parent: int, repository: Path) -> tuple[int, str]:
    code = (
        "from models.engine.ops.parent_death import end_with_parent; "
        f"end_with_parent({parent}); print('still here')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository
    )
    return done.returncode, done.stdout
