"""SIGKILL, SIGTERM or Ctrl-C at any moment of a command that writes, then the command again.

Some kills come after a random time, more of them right before an operation on files that the
interpreter announces (open for writing, rename, remove, make a folder): those are the moments at
which a set of files is torn, and a random time seldom finds them.
"""

from __future__ import annotations

import csv
import io
import random
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.robustness.case import Case
from tests.robustness.events import count_events, strike_at_event
from tests.robustness.forking import Outcome
from tests.robustness.harness import Harness
from tests.robustness.lines import Line
from tests.robustness.oracles import Finding, find_faults, traceback_signature
from tests.robustness.sameness import equal, is_between
from tests.robustness.trees import LEFTOVER, Snapshot, changed_names, leftovers, snapshot

# The file that vouches for the others of its folder: it may be there only when they are.
MARKERS = ("split.json", "sample.json", "finished.json")
APPENDED = "ledger.csv"
# A lock stays by design, logs tell what happened, and event files are named after the moment.
UNCOMPARED = (".lock", "/tensorboard/", "/logs/")
# What a command ends with after a signal that it can hear.
PROMISED = {signal.SIGINT: 130, signal.SIGTERM: 143}


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
class Moment:
    """When which signal comes: before a file operation, or after some seconds (SIGKILL)."""

    text: str
    signal_number: int
    event: int | None = None
    seconds: float | None = None


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


def kill_case(harness: Harness, line: Line, expected: Undisturbed, seed: int) -> Case:
    """Stop a line one to three times, run it to its end, and compare with the undisturbed run."""
    rng = random.Random(seed)
    harness.restore()
    before = snapshot(harness.place.world)
    moments: list[str] = []
    kills = signals = 0
    findings: list[Finding] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        moment = _moment(expected, rng)
        left = snapshot(harness.place.world)
        outcome, struck = _struck(harness, line, moment)
        moments.append(moment.text)
        if struck and moment.signal_number == signal.SIGKILL:
            kills += 1
            findings += _after_a_kill(harness, line, expected)
        elif struck:
            signals += 1
            findings += _after_a_signal(harness, line, moment.signal_number, outcome, left)
            findings += _after_a_kill(harness, line, expected)
        elif outcome.status != 0:
            # A run that stops by itself after a kill is judged below, by its repetition.
            break
    outcome = harness.call(line, line.arguments)
    findings += _after_the_end(harness, line, expected, outcome, kills + signals)
    findings += [
        finding
        for finding in find_faults(harness.place, line, outcome, before, harness.around)
        if finding.kind not in ("partial", "leftover")
    ]
    return Case("killed", line, moments, outcome, findings, seed, kills, signals)


def _moment(expected: Undisturbed, rng: random.Random) -> Moment:
    if expected.events and rng.random() < 0.7:
        event = rng.randrange(expected.events)
        number = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM))
        return Moment(f"{number.name} before file operation {event}", number, event=event)
    seconds = rng.uniform(0, expected.seconds)
    return Moment(f"SIGKILL after {seconds:.4f} s", signal.SIGKILL, seconds=seconds)


def _struck(harness: Harness, line: Line, moment: Moment) -> tuple[Outcome, bool]:
    """Call a line and stop it at a moment; say too whether it lived to see it."""
    if moment.event is None:
        outcome = harness.call(line, line.arguments, kill_after=moment.seconds)
        return outcome, outcome.status == -signal.SIGKILL and not outcome.hung
    noted = harness.place.root / "tmp" / "struck.txt"
    event, number = moment.event, moment.signal_number
    outcome = harness.call(
        line, line.arguments, prepare=lambda: strike_at_event(event, number, noted)
    )
    return outcome, bool(noted.read_bytes())


def _after_a_signal(
    harness: Harness, line: Line, number: int, outcome: Outcome, before: Snapshot
) -> list[Finding]:
    """Look at how a line ended that was asked to stop: as promised, without temporary files."""
    name, said = line.command.name, signal.Signals(number).name
    found = []
    if outcome.hung or outcome.has_traceback or outcome.status != PROMISED[signal.Signals(number)]:
        detail = f"status {outcome.status}\n{outcome.errors[-1500:]}"
        how = traceback_signature(outcome) if outcome.has_traceback else str(outcome.status)
        found.append(Finding("signal", f"after {said}: {detail}", f"{name} {said} {how}"))
    changed = changed_names(before, snapshot(harness.place.world))
    if temporary := leftovers([entry for entry in changed if entry not in before]):
        found.append(Finding("leftover", f"stay after {said}: {temporary[:5]}", f"{name} {said}"))
    return found


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
