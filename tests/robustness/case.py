"""One call of a command with what was done to it, and what is wrong with how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.robustness.figures import wrong_numbers
from tests.robustness.forking import Outcome
from tests.robustness.harness import Harness
from tests.robustness.lines import Line
from tests.robustness.oracles import Finding, find_faults
from tests.robustness.trees import snapshot


@dataclass(frozen=True)
class Case:
    """One call, perhaps repeated after kills.

    Attributes:
        kind: "mutated", "numbers", "killed" or "faulty".
        line: what was called: the words as given, and where it may write.
        changes: what was done to it, in words.
        outcome: how it ended, the last time.
        findings: what must not happen and did.
        seed: draws the kills or the fault again.
        kills: how often SIGKILL ended it.
        signals: how often SIGINT or SIGTERM did.
    """

    kind: str
    line: Line
    changes: Sequence[str]
    outcome: Outcome
    findings: list[Finding]
    seed: int = 0
    kills: int = 0
    signals: int = 0


def called(kind: str, harness: Harness, line: Line, changes: Sequence[str]) -> Case:
    """Call a line in the world as it is, and look at everything that it did."""
    before = snapshot(harness.place.world)
    outcome = harness.call(line, line.arguments)
    findings = find_faults(harness.place, line, outcome, before, harness.around)
    findings += wrong_numbers(harness.place.world, line, outcome)
    return Case(kind, line, changes, outcome, findings)
