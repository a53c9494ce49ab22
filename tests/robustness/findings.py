"""Findings saved as folders that show them again, one for each cause, and counted."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from tests.robustness.case import Case
from tests.robustness.harness import Harness
from tests.robustness.oracles import Finding

MOST_OUTPUT = 4000
REPLAY = "python -m tests.robustness --replay"


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

    def text(self, folder: Path) -> str:
        """Return the summary that a run prints; `folder` is where its findings are."""
        lines = [f"{name:<11}" + _listed(counts) for name, counts in (
            ("calls", self.done), ("statuses", self.statuses), ("commands", self.of_command),
        )]  # fmt: skip
        kinds: Counter[str] = Counter()
        for cause in self.findings:
            kinds[cause.partition(":")[0]] += 1
        total = f"{len(self.findings)} causes, {self.findings.total()} times"
        lines.append(f"findings   {total}" + (f" ({_listed(kinds)})" if kinds else ""))
        for cause, count in self.findings.most_common():
            there = shlex.quote(str(folder / folder_name(cause)))
            lines += [f"  {count:>5}  {cause}", f"         {REPLAY} {there}"]
        return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


class SavedCase(TypedDict):
    """What `case.json` of a finding holds: enough to call it again."""

    kind: str
    command: str
    arguments: list[str]
    written: list[str]
    read: list[str]
    seconds: float
    changes: list[str]
    seed: int
    root: str


@dataclass(frozen=True)
class Recorder:
    """Counts what one worker does and saves what it finds below `folder`."""

    folder: Path
    tally: Tally = field(default_factory=Tally)

    def record(self, case: Case, identity: str, harness: Harness) -> None:
        """Count one case; save its findings unless their cause is saved already."""
        self.tally.done[case.kind] += 1
        self.tally.done["kills"] += case.kills
        self.tally.done["signals"] += case.signals
        self.tally.of_command[case.line.command.name] += 1
        self.tally.statuses[f"x status {case.outcome.status}"] += 1
        for finding in case.findings:
            self.tally.findings[finding.cause] += 1
            self._save(case, identity, harness, finding)

    def _save(self, case: Case, identity: str, harness: Harness, finding: Finding) -> None:
        target = self.folder / folder_name(finding.cause)
        try:
            target.mkdir(parents=True)
        except FileExistsError:
            return
        harness.save_given(target / "before")
        shutil.copytree(harness.place.world, target / "after", symlinks=True)
        line, outcome = case.line, case.outcome
        noted = "\n".join(f"- {change}" for change in case.changes) or "- none"
        text = (
            f"# {finding.cause}\n\n{finding.detail}\n\n"
            f"    {REPLAY} {shlex.quote(str(target))}\n    cd before; {line.text}\n\n"
            f"{case.kind} {identity}; changes:\n{noted}\n\n"
            f"status {outcome.status}, {outcome.seconds:.1f} s\n\n"
            f"stdout:\n{outcome.output[-MOST_OUTPUT:]}\n\n"
            f"stderr:\n{outcome.errors[-MOST_OUTPUT:]}\n"
        )
        (target / "README.md").write_text(text, encoding="utf-8", errors="backslashreplace")
        saved = SavedCase(
            kind=case.kind,
            command=line.command.name,
            arguments=line.arguments,
            written=line.written,
            read=line.read,
            seconds=line.seconds,
            changes=list(case.changes),
            seed=case.seed,
            root=str(harness.place.root),
        )
        (target / "case.json").write_text(json.dumps(saved, indent=1))


def folder_name(cause: str) -> str:
    """Return the name of a finding's folder: its kind, its cause, and a hash of both."""
    readable = re.sub(r"[^\w.]+", "-", cause)[:80]
    return f"{readable}-{hashlib.sha256(cause.encode()).hexdigest()[:6]}"
