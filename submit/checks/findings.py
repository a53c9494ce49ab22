"""What a preflight looks at, and its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.findings import Finding, Level, of_level
from submit.formats.raw import RawSubmission
from submit.formats.schema import SubmissionFormat

MAX_EXAMPLES = 3
NO_NAME = "(a row without a name: an empty line?)"


@dataclass(frozen=True)
class CheckResult:
    """Outcome of a preflight; `as_dict` is what `--json` prints."""

    file: str
    format: str
    images: int
    empty_images: int
    boxes: int
    file_bytes: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that must be fixed."""
        return of_level(self.findings, "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings worth a look."""
        return of_level(self.findings, "warning")

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object with errors and warnings apart."""
        summary = {key: value for key, value in asdict(self).items() if key != "findings"}
        return {
            **summary,
            "ok": not self.errors,
            "errors": [asdict(finding) for finding in self.errors],
            "warnings": [asdict(finding) for finding in self.warnings],
        }


@dataclass(frozen=True)
class Subject:
    """A submission under check."""

    raw: RawSubmission
    format: SubmissionFormat
    dataset: CocoDataset
    path: Path

    def boxes(self, mask: np.ndarray) -> tuple[int, tuple[str, ...]]:
        """Return how many boxes the (N,) mask marks, and the first of them in words."""
        chosen = np.flatnonzero(mask)
        examples = []
        for box in chosen[:MAX_EXAMPLES].tolist():
            name = self.raw.names[int(self.raw.row_of_box[box])]
            corners = ", ".join(f"{value:g}" for value in self.raw.boxes_xyxy[box])
            label, score = self.raw.label_texts[box], self.raw.scores[box]
            examples.append(f"{name}: label {label} score {score:g} box {corners}")
        return len(chosen), tuple(examples)

    def names(self, names: list[str]) -> tuple[int, tuple[str, ...]]:
        """Return how many names there are, and the first of them."""
        return len(names), tuple(name or NO_NAME for name in names[:MAX_EXAMPLES])

    def rows(self, mask: np.ndarray) -> tuple[int, tuple[str, ...]]:
        """Return how many rows of the file the (R,) mask marks, and their images."""
        chosen = np.flatnonzero(mask)
        names = [self.raw.names[row] for row in chosen[:MAX_EXAMPLES].tolist()]
        return len(chosen), tuple(name or NO_NAME for name in names)


def finding(
    level: Level, check: str, message: str, counted: tuple[int, tuple[str, ...]]
) -> Finding:
    """Build a finding; `{}` in the message stands for the count."""
    count, examples = counted
    # Not str.format: names of files may hold braces.
    return Finding(level, check, message.replace("{}", str(count), 1), count, examples)
