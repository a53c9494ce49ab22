"""Score or diagnose a file of any format: read it and judge it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.coco.dataset import read_coco
from data_tools.predictions.files import read_predictions_and_gaps
from data_tools.predictions.formats.schema import SubmissionFormat
from scoring.diagnosis import diagnose
from scoring.disagreement import disagreements
from scoring.leaks import member_names
from scoring.mistake_costs import cost_of_misreading, mistake_costs
from scoring.score import score
from scoring.uncertainty.bootstrap import DEFAULT_SEED


def score_file(
    predictions_file: str | Path,
    truth_file: str | Path,
    *,
    bootstrap_samples: int = 0,
    seed: int = DEFAULT_SEED,
    submission_format: SubmissionFormat | None = None,
    disagree: bool = False,
) -> dict[str, Any]:
    """Score a prediction file of any kind.

    Returns:
        What `score` returns, with `file`, `truth`, `members` (names of the runs in it) and, if
        asked for, `disagreements`.
    """
    truth = read_coco(truth_file)
    with cost_of_misreading(truth):
        predictions, missing = read_predictions_and_gaps(predictions_file, truth, submission_format)
    result = score(predictions, truth, bootstrap_samples=bootstrap_samples, seed=seed)
    result = {
        "file": str(predictions_file),
        "truth": str(truth_file),
        "members": member_names(predictions.provenance),
        **result,
    }
    result["notes"] += gap_notes(missing)
    if disagree:
        result["disagreements"] = disagreements(predictions, truth)
    return result


def diagnose_file(
    predictions_file: str | Path,
    truth_file: str | Path,
    *,
    score_threshold: float = 0.3,
    submission_format: SubmissionFormat | None = None,
) -> dict[str, Any]:
    """Diagnose a prediction file of any kind as `diagnose` does."""
    truth = read_coco(truth_file)
    with cost_of_misreading(truth):
        predictions, missing = read_predictions_and_gaps(predictions_file, truth, submission_format)
    result = diagnose(predictions, truth, score_threshold=score_threshold)
    mistakes = mistake_costs(predictions, truth)
    notes = [*(mistake["note"] for mistake in mistakes), *gap_notes(missing)]
    return {"file": str(predictions_file), **result, "mistakes": mistakes, "notes": notes}


def gap_notes(missing_images: Sequence[str]) -> list[str]:
    """Return what to say about images that a file leaves out: one note, or none."""
    if not missing_images:
        return []
    count = len(missing_images)
    return [f"{count} images have no row in the file; they are scored as images without boxes"]
