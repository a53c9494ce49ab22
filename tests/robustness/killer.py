"""SIGKILL at any moment of a command that writes, then the same command again.

Some kills come after a random time, more of them right before an operation on files that the
interpreter announces (open for writing, rename, remove, make a folder): those are the moments at
which a set of files is torn, and a random time seldom finds them.
"""

from __future__ import annotations

import csv
import io
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.robustness.forking import Outcome
from tests.robustness.harness import Harness
from tests.robustness.lines import Line
from tests.robustness.oracles import Finding, find_faults, traceback_signature
from tests.robustness.sameness import equal, is_between
from tests.robustness.trees import LEFTOVER, changed_names, snapshot

FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR
# The file that vouches for the others of its folder: it may be there only when they are.
MARKERS = ("split.json", "sample.json", "finished.json")
APPENDED = "ledger.csv"
# A lock stays by design, logs tell what happened, and event files are named after the moment.
UNCOMPARED = (".lock", "/tensorboard/", "/logs/")


@dataclass
class Undisturbed:
    """What a line leaves behind when nobody disturbs it.

    Attributes:
        files: bytes by name of everything that it wrote.
        volatile: names whose bytes differ between two runs.
        old: bytes by name of what lay there before.
        events: number of announced operations on files.
        seconds: time it took.
    """

    files: dict[str, bytes]
    volatile: set[str]
    old: dict[str, bytes]
    events: int
    seconds: float


@dataclass(frozen=True)
class Kills:
    """One line killed, perhaps several times, and run to its end."""

    line: Line
    moments: list[str]
    kills: int
    outcome: Outcome
    findings: list[Finding] = field(default_factory=list)


class UndisturbedRuns:
    """What each line leaves behind when nobody disturbs it, found when it is first asked for."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self._known: dict[str, Undisturbed | None] = {}

    def of(self, line: Line) -> Undisturbed | None:
        """Return a line's; None if it writes nothing or does not end well."""
        if line.text not in self._known:
            self._known[line.text] = undisturbed(self.harness, line)
        return self._known[line.text]


def undisturbed(harness: Harness, line: Line) -> Undisturbed | None:
    """Run a line twice; None if it writes nothing or does not end well."""
    runs = []
    counted = harness.place.root / "tmp" / "events.txt"
    for _ in range(2):
        harness.restore()
        before, old = snapshot(harness.place.world), harness.contents()
        outcome = harness.call(line, line.arguments, prepare=lambda: count_events(counted))
        if outcome.status != 0:
            return None
        after = snapshot(harness.place.world)
        names = [name for name in changed_names(before, after) if name in after]
        files = {
            name: (harness.place.world / name).read_bytes()
            for name in names
            if (harness.place.world / name).is_file() and is_compared(name)
        }
        runs.append(files)
    if not runs[0]:
        return None
    differing = {name for name in runs[0] if runs[0][name] != runs[1].get(name)}
    return Undisturbed(runs[1], differing, old, len(counted.read_bytes()), outcome.seconds)


def kill_case(harness: Harness, line: Line, expected: Undisturbed, rng: random.Random) -> Kills:
    """Kill a line one to three times, run it to its end, and compare with the undisturbed run."""
    harness.restore()
    before = snapshot(harness.place.world)
    moments: list[str] = []
    kills, findings = 0, []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        moment, prepare, kill_after = _moment(expected, rng)
        outcome = harness.call(line, line.arguments, prepare=prepare, kill_after=kill_after)
        moments.append(moment)
        if outcome.status == -signal.SIGKILL and not outcome.hung:
            kills += 1
            findings += _after_a_kill(harness, line, expected)
        elif outcome.status != 0:
            # A run that stops by itself after a kill is judged below, by its repetition.
            break
    outcome = harness.call(line, line.arguments)
    findings += _after_the_end(harness, line, expected, outcome, kills)
    findings += [
        finding
        for finding in find_faults(harness.place, line, outcome, before, harness.around)
        if finding.kind not in ("partial", "leftover")
    ]
    return Kills(line, moments, kills, outcome, findings)


def _moment(
    expected: Undisturbed, rng: random.Random
) -> tuple[str, Callable[[], object] | None, float | None]:
    if expected.events and rng.random() < 0.6:
        number = rng.randrange(expected.events)
        return f"before file operation {number}", lambda: kill_at_event(number), None
    seconds = rng.uniform(0, expected.seconds)
    return f"after {seconds:.4f} s", None, seconds


def count_events(target: Path) -> None:
    """Write one byte into a file for every announced operation on files."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    on_file_events(lambda _: os.write(descriptor, b"."))


def kill_at_event(number: int) -> None:
    """End this process by SIGKILL right before its operation on files of that number."""
    left = [number]

    def strike(_: str) -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    on_file_events(strike)


def on_file_events(action: Callable[[str], object]) -> None:
    """Call `action` with the name of every operation that changes files, from now on."""

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS or (event == "open" and _opens_for_writing(arguments)):
            action(event)

    sys.addaudithook(heard)


def _opens_for_writing(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & WRITING) and arguments[0] != os.devnull


def _after_a_kill(harness: Harness, line: Line, expected: Undisturbed) -> list[Finding]:
    """Look at what a kill leaves: every file old or new and whole, no marker without its set."""
    found = []
    name = line.command.name
    present = harness.contents()
    for file, content in expected.files.items():
        now = present.get(file)
        if now is None or now in (content, expected.old.get(file)) or is_between(file, now):
            continue
        found.append(
            Finding(
                "torn", f"{file} is neither old nor new after a kill", f"{name} {Path(file).name}"
            )
        )
    for marker in (file for file in expected.files if file.endswith(MARKERS)):
        folder = f"{Path(marker).parent}/"
        others = [file for file in expected.files if file.startswith(folder) and file != marker]
        missing = [file for file in others if present.get(file) != expected.files[file]]
        is_new = present.get(marker) is not None and marker not in expected.old
        if is_new and [file for file in missing if file not in expected.volatile]:
            found.append(
                Finding(
                    "torn", f"{marker} vouches for {missing[:3]}", f"{name} {Path(marker).name}"
                )
            )
    found += _lost_lines(harness, name, expected)
    return found


def _lost_lines(harness: Harness, name: str, expected: Undisturbed) -> list[Finding]:
    found = []
    for file, old in expected.old.items():
        if not file.endswith(APPENDED):
            continue
        path = harness.place.world / file
        now = path.read_bytes() if path.is_file() else b""
        if not _holds_rows(now, old):
            found.append(Finding("lost", f"{file} lost lines that were in it", name))
        if now and not now.endswith(b"\n"):
            found.append(Finding("torn", f"{file} ends in the middle of a line", name))
    return found


def _holds_rows(now: bytes, old: bytes) -> bool:
    """Whether every row of an old ledger is still there; its other cells may have been filled."""
    rows = [row[:1] for row in csv.reader(io.StringIO(now.decode("utf-8", "replace")))]
    wanted = [row[:1] for row in csv.reader(io.StringIO(old.decode()))]
    return all(rows.count(row) >= wanted.count(row) for row in wanted)


def _after_the_end(
    harness: Harness, line: Line, expected: Undisturbed, outcome: Outcome, kills: int
) -> list[Finding]:
    name = line.command.name
    present = harness.contents()
    wrong = [
        file
        for file, content in expected.files.items()
        if not equal(file, present.get(file), content, file in expected.volatile)
    ]
    found = _lost_lines(harness, name, expected)
    if outcome.status != 0 and (wrong or outcome.has_traceback):
        said = outcome.errors.strip()[-600:]
        detail = (
            f"not repeatable after a kill, status {outcome.status}, missing {wrong[:4]}\n{said}"
        )
        signature = traceback_signature(outcome) if outcome.has_traceback else "refused"
        return [*found, Finding("different", detail, f"{name} {signature}")]
    if wrong and not (kills and wrong[0].endswith(APPENDED)):
        found.append(
            Finding(
                "different",
                f"not as an undisturbed run leaves them: {wrong[:5]}",
                f"{name} {Path(wrong[0]).name}",
            )
        )
    extra = [file for file in present if file not in expected.files and file not in expected.old]
    leftover = [file for file in extra if any(map(LEFTOVER.search, file.split("/")))]
    if leftover:
        found.append(Finding("leftover", f"stay after a kill and a full run: {leftover[:5]}", name))
    rest = [file for file in extra if file not in leftover and is_compared(file)]
    if rest:
        found.append(
            Finding(
                "different",
                f"files that an undisturbed run does not leave: {rest[:5]}",
                f"{name} extra",
            )
        )
    return found


def is_compared(name: str) -> bool:
    """Whether a name stands for something that an undisturbed run leaves in the same way."""
    return not any(part in name for part in UNCOMPARED)
