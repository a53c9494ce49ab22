"""A child's end, words and limits as its parent sees them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.robustness.forking import Limits, run_forked

LIMITS = Limits(seconds=30)


def test_a_child_that_says_nothing(tmp_path):
    outcome = run_forked(lambda: None, folder=tmp_path, limits=LIMITS)
    assert (outcome.status, outcome.output, outcome.errors, outcome.hung) == (0, "", "", False)


def test_more_output_than_a_pipe_holds_is_read(tmp_path):
    outcome = run_forked(lambda: sys.stdout.write("x" * 300_000), folder=tmp_path, limits=LIMITS)
    assert outcome.output == "x" * 300_000


def test_the_status_is_that_of_sys_exit_or_of_the_signal(tmp_path):
    assert run_forked(lambda: sys.exit(2), folder=tmp_path, limits=LIMITS).status == 2
    died = run_forked(lambda: os.kill(os.getpid(), 15), folder=tmp_path, limits=LIMITS)
    assert died.status == -signal.SIGTERM


def test_a_process_left_behind_is_ended_and_not_waited_for(tmp_path):
    started = time.monotonic()
    run_forked(lambda: subprocess.Popen(["sleep", "60"]), folder=tmp_path, limits=LIMITS)
    assert time.monotonic() - started < 20


def test_a_kill_is_no_hang(tmp_path):
    killed = run_forked(lambda: time.sleep(60), folder=tmp_path, limits=LIMITS, kill_after=0.05)
    assert (killed.status, killed.hung) == (-signal.SIGKILL, False)


def test_a_limit_on_files_leaves_messages_alone(tmp_path):
    def write() -> None:
        Path("x").write_text("y" * 1000)

    outcome = run_forked(write, folder=tmp_path, limits=Limits(seconds=30, file_bytes=10))
    assert "File too large" in outcome.errors
