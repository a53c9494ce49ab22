"""Time `make submit` in a new clone, step by step: `python -m benchmarks.demo`."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import machine_line

REPOSITORY = Path(__file__).resolve().parent.parent
STEP = re.compile(r"-m (data_tools|models|ensemble|submit) (\w+)(?: (?!-)\S*?([\w.-]+)\b)?")
TINY = {
    "SAMPLE_FLAGS": "--train-images 60 --test-images 12 --size 128",
    "TRAIN_FLAGS": "--epochs 1 --batch 8 --set image_size_wh=[96,96] --set repeat=1",
}


def step_name(line: str) -> str | None:
    """Return the name of the step that a line printed by make starts, or None."""
    found = STEP.search(line)
    if not found or ".venv" not in line:
        return None
    package, command, _ = found.groups()
    run = re.search(r"(?:models train (\S+)|runs/([^/]+)/)", line)
    what = next((group for group in run.groups() if group), "") if run else ""
    what = what if package == "models" else ""
    split = re.search(r"--split (\w+)", line)
    return " ".join(filter(None, [package, command, what, split.group(1) if split else ""]))


def timed_lines(clone: Path, environment: dict[str, str]) -> Iterator[tuple[float, str]]:
    """Run `make submit` and yield (seconds since start, line) as the lines come."""
    start = time.perf_counter()
    process = subprocess.Popen(
        ["make", "submit", "V=1"],
        cwd=clone,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        yield time.perf_counter() - start, line.rstrip("\n")
    if process.wait():
        sys.exit(f"make submit ended with status {process.returncode}")


def durations(stamped: list[tuple[float, str]]) -> list[tuple[str, float]]:
    """Return (step, seconds), in the order of their start.

    Trainings run side by side and name their lines: one lasts until its last line. Any other step
    lasts until the next one starts.
    """
    starts = [(seconds, name) for seconds, line in stamped if (name := step_name(line))]
    if not starts:
        return []
    ends = [seconds for seconds, _ in starts[1:]] + [stamped[-1][0]]
    result = []
    for (start, name), end in zip(starts, ends, strict=True):
        prefix = f"{name.rpartition(' ')[2]} | "
        own = [seconds for seconds, line in stamped if line.startswith(prefix)]
        is_training = name.startswith("models train") and own
        result.append((name, (max(own) if is_training else end) - start))
    return result


def main() -> None:
    """Clone, run, print what make printed and then the table of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny run, to try the script")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="boxcamp demo ") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        (clone / ".venv").symlink_to(REPOSITORY / ".venv")
        stamped = []
        for stamp in timed_lines(clone, TINY if arguments.quick else {}):
            print(stamp[1])
            stamped.append(stamp)
    print(f"\n{machine_line()}")
    for name, seconds in durations(stamped):
        print(f"  {name:<40} {seconds:7.1f} s")
    print(f"  {'make submit, installation excluded':<40} {stamped[-1][0]:7.1f} s")


if __name__ == "__main__":
    main()
