"""Findings saved as folders that show them again, one for each cause, and counted."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.robustness.forking import Outcome
from tests.robustness.lines import Line
from tests.robustness.oracles import Finding
from tests.robustness.world import Place

MOST_OUTPUT = 4000


@dataclass
class Tally:
    """What a run did and found, added up over its workers."""

    done: Counter[str] = field(default_factory=Counter)
    of_command: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another worker's."""
        self.done += other.done
        self.of_command += other.of_command
        self.statuses += other.statuses
        self.findings += other.findings

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return a JSON object."""
        return {key: dict(value.most_common()) for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, value: dict[str, dict[str, int]]) -> Tally:
        """Read back `as_dict`."""
        return cls(**{key: Counter(counts) for key, counts in value.items()})

    def text(self) -> str:
        """Return the summary that a run prints."""
        lines = ["calls      " + ", ".join(f"{n} {kind}" for kind, n in self.done.most_common())]
        lines.append(
            "statuses   " + ", ".join(f"{n} x {s}" for s, n in self.statuses.most_common())
        )
        lines.append(
            "commands   " + ", ".join(f"{n} {c}" for c, n in self.of_command.most_common())
        )
        lines.append(f"findings   {len(self.findings)} causes, {self.findings.total()} times")
        lines += [f"  {count:>5}  {cause}" for cause, count in self.findings.most_common()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Recorder:
    """Counts what one worker does and saves what it finds below `folder`."""

    folder: Path
    tally: Tally = field(default_factory=Tally)

    def record(
        self,
        kind: str,
        identity: str,
        place: Place,
        line: Line,
        arguments: Sequence[str],
        changes: Sequence[str],
        outcome: Outcome,
        findings: Sequence[Finding],
    ) -> None:
        """Count one call; save its findings unless their cause is saved already."""
        self.tally.done[kind] += 1
        self.tally.of_command[line.command.name] += 1
        self.tally.statuses[str(outcome.status)] += 1
        for finding in findings:
            cause = f"{finding.kind}: {finding.signature}"
            self.tally.findings[cause] += 1
            shown = Line(line.command, list(arguments))
            self._save(kind, identity, place, shown, changes, outcome, finding)

    def _save(
        self,
        kind: str,
        identity: str,
        place: Place,
        line: Line,
        changes: Sequence[str],
        outcome: Outcome,
        finding: Finding,
    ) -> None:
        target = self.folder / finding_name(finding)
        try:
            target.mkdir(parents=True)
        except FileExistsError:
            return
        shutil.copytree(place.world, target / "world", symlinks=True, ignore_dangling_symlinks=True)
        noted = "\n".join(f"- {change}" for change in changes) or "- none"
        text = (
            f"# {finding.kind}: {finding.signature}\n\n{finding.detail}\n\n"
            f"    cd world; {line.text}\n\n{kind} {identity}; changes:\n{noted}\n\n"
            f"status {outcome.status}, {outcome.seconds:.1f} s\n\n"
            f"stdout:\n{outcome.output[-MOST_OUTPUT:]}\n\n"
            f"stderr:\n{outcome.errors[-MOST_OUTPUT:]}\n"
        )
        (target / "README.md").write_text(text, encoding="utf-8", errors="backslashreplace")
        call = [line.command.package, *line.command.path, *line.arguments]
        (target / "call.json").write_text(json.dumps(call))


def finding_name(finding: Finding) -> str:
    """Return the name of a finding's folder: its kind, its cause, and a hash of both."""
    cause = f"{finding.kind}: {finding.signature}"
    readable = re.sub(r"[^\w.]+", "-", finding.signature)[:70]
    return f"{finding.kind}-{readable}-{hashlib.sha256(cause.encode()).hexdigest()[:6]}"
