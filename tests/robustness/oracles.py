"""What must hold after any call of any command, whatever it was given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.robustness.forking import Limits, Outcome
from tests.robustness.lines import Line
from tests.robustness.trees import Snapshot, changed_names, leftovers, snapshot
from tests.robustness.world import PRECIOUS, Place

# 0 is done, 2 a user's mistake.
STATUSES = (0, 2)
# A child starts with some threads' stacks and the arenas of three allocators.
CASE_LIMITS = Limits(seconds=60.0, memory_bytes=6 << 30)
MOST_GROWN_BYTES = 1536 << 20
CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\u202a-\u202e\u2066-\u2069]"
    "|\x1b(?!\\[[0-9;?]*[A-Za-z])"
)
COLOUR = re.compile("\x1b\\[31mred")
# These end with 2 and write all the same: a report of what is wrong, the logs of the steps.
REPORTS_ON_ERROR = ("submit check", "data_tools verify", "models doctor", "workflow")


@dataclass(frozen=True)
class Finding:
    """One thing that must not happen.

    Attributes:
        kind: "traceback", "hang", "outside", "executed", "memory", "status", "silent", "input",
            "partial", "leftover", "control", "number", "torn", "different", "lost".
        detail: what came.
        signature: what findings of one cause have in common.
    """

    kind: str
    detail: str
    signature: str

    @property
    def cause(self) -> str:
        """What findings are counted and saved by."""
        return f"{self.kind}: {self.signature}"


def find_faults(
    place: Place, line: Line, outcome: Outcome, before: Snapshot, around: Snapshot
) -> list[Finding]:
    """Return everything wrong with one call.

    Args:
        place: where it ran.
        line: what was called; it says where the call may write.
        outcome: how it ended.
        before: snapshot of `place.world` before the call.
        around: snapshot of `place.root` without the world before the call.
    """
    name = line.command.name
    found = [*_of_process(name, outcome), *_of_text(name, outcome)]
    if place.executed.exists():
        found.append(Finding("executed", "the input was executed", name))
    touched = changed_names(around, surroundings(place))
    if touched or (place.root / "outside" / "precious.txt").read_text() != PRECIOUS:
        found.append(Finding("outside", f"written beside the world: {touched}", name))
    changed = changed_names(before, snapshot(place.world))
    return found + _of_files(line, outcome, before, changed)


def surroundings(place: Place) -> Snapshot:
    """Return the snapshot of what lies around the world and must not change."""
    unwatched = ("world", "home", "tmp", "outside/executed")
    return {
        name: entry
        for name, entry in snapshot(place.root, unwatched).items()
        if name not in unwatched
    }


def _of_process(name: str, outcome: Outcome) -> list[Finding]:
    if outcome.hung:
        return [Finding("hang", f"no end after {outcome.seconds:.0f} s", name)]
    if outcome.has_traceback:
        # The same place in the kit is the same cause, whichever command came there.
        signature = traceback_signature(outcome)
        where = f" of {name}" if signature.endswith("at ?") else ""
        return [Finding("traceback", outcome.errors[-3000:], signature + where)]
    found = []
    if outcome.status not in STATUSES:
        found.append(
            Finding(
                "status",
                f"exit status {outcome.status}\n{outcome.errors[-1500:]}",
                f"{name} {outcome.status}",
            )
        )
    if outcome.status == 2 and not (outcome.errors + outcome.output).strip():
        found.append(Finding("silent", "exit status 2 without a word", name))
    if outcome.grown_bytes > MOST_GROWN_BYTES:
        found.append(Finding("memory", f"{outcome.grown_bytes >> 20} MiB", name))
    return found


def traceback_signature(outcome: Outcome) -> str:
    """Return the exception's type and the innermost place in the kit that it came from."""
    text = outcome.errors + outcome.output
    frames = re.findall(
        r'File "[^"]*?/((?:data_tools|scoring|submit|ensemble|experiments|models|workflow)/[^"]+)"'
        r", line \d+, in (\w+)",
        text,
    )
    last = re.findall(
        r"^(\w[\w.]*(?:Error|Exception|Interrupt|Warning|Exit|Fault)\b)", text, re.MULTILINE
    )
    where = ":".join(frames[-1]) if frames else "?"
    return f"{last[-1] if last else 'error'} at {where}"


def _of_text(name: str, outcome: Outcome) -> list[Finding]:
    # A progress bar may go back to the start of its line; everything else comes from the input.
    text = outcome.output + outcome.errors
    found = CONTROL.search(text) or COLOUR.search(text)
    if found is None or outcome.has_traceback:
        return []
    around = text[max(found.start() - 100, 0) : found.end() + 60]
    return [Finding("control", f"control characters reach the terminal: {around!r}", name)]


def _of_files(
    line: Line, outcome: Outcome, before: Snapshot, changed: Sequence[str]
) -> list[Finding]:
    name, found = line.command.name, []
    wrong = [entry for entry in changed if not line.may_write(entry)]
    if wrong:
        found.append(
            Finding("input", f"changed although nothing is to be written there: {wrong[:5]}", name)
        )
    temporary = leftovers([entry for entry in changed if entry not in before])
    if temporary:
        found.append(Finding("leftover", f"temporary files stay: {temporary[:5]}", name))
    new = [entry for entry in changed if entry.startswith("out/") and entry not in temporary]
    failed = outcome.status != 0 and not outcome.hung and not name.startswith(REPORTS_ON_ERROR)
    if new and failed:
        found.append(
            Finding("partial", f"status {outcome.status}, and yet written: {new[:5]}", name)
        )
    return found
