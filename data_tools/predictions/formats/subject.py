"""A submission under check, and a finding about it with its count and its first examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.findings import Finding, Level
from data_tools.predictions.formats.raw import RawSubmission
from data_tools.predictions.formats.schema import SubmissionFormat

MAX_EXAMPLES = 3
NO_NAME = "(a row without a name: an empty line?)"


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
