"""The score of a submission's fusion on the validation fold, measured or read from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from data_tools.coco.dataset import load_json
from data_tools.ground.declared.checking import OPEN, checked
from data_tools.predictions.formats.schema import SubmissionFormat

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class IntervalEntry:
    """An interval of a score file; without ends where there are too few images for one."""

    __pydantic_config__ = OPEN

    low: Share | None
    high: Share | None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("both ends, or neither")


@dataclass(frozen=True)
class LeakEntry:
    """What a score file says of a leak.

    Attributes:
        images: scored images that were trained on.
        of: images that were scored.
        examples: some of their names.
        reasons: why else the score cannot be trusted.
    """

    __pydantic_config__ = OPEN

    images: Annotated[int, Ge(0)]
    of: Annotated[int, Ge(0)]
    examples: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ScoreFile:
    """What the ledger takes from a score file.

    Attributes:
        competition_map50: the score; None where the truth has no boxes.
        members: names of the fused runs.
        intervals: by the name of the score.
        leaked: None where nothing leaks.
    """

    __pydantic_config__ = OPEN

    competition_map50: Share | None
    members: tuple[str, ...] = ()
    intervals: dict[str, IntervalEntry] = field(default_factory=dict)
    leaked: LeakEntry | None = None


def find_score(
    validation_file: str | Path | None,
    truth_file: str | Path | None,
    score_file: str | Path | None,
    submission_format: SubmissionFormat | None = None,
) -> dict[str, Any] | None:
    """Score a validation file, or read the score file, or return None if neither is given."""
    if validation_file is not None and truth_file is not None:
        from scoring.uncertainty.bootstrap import DEFAULT_SAMPLES
        from submit.scores.of_file import score_file as score

        return score(
            validation_file,
            truth_file,
            bootstrap_samples=DEFAULT_SAMPLES,
            submission_format=submission_format,
        )
    return None if score_file is None else read_score_file(score_file)


def read_score_file(path: str | Path) -> dict[str, Any]:
    """Read what `submit score --json-out` wrote.

    Raises:
        UserError: the file is no JSON, or something else; the message names the keys.
    """
    result: dict[str, Any] = load_json(Path(path))
    checked(
        result,
        ScoreFile,
        where=path,
        next_step="python -m submit score FILE --truth ... --json-out OUT writes such a file",
    )
    return result
