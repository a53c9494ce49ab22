"""Score or diagnose a file of any format: read it and judge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_tools.coco.dataset import read_coco
from scoring.diagnosis import diagnose
from scoring.disagreement import disagreements
from scoring.leaks import member_names
from scoring.mistake_costs import cost_of_misreading, mistake_costs
from scoring.score import score
from scoring.uncertainty.bootstrap import DEFAULT_SEED
from submit.read import missing_image_notes, read_any


def score_file(
    predictions_file: str | Path,
    truth_file: str | Path,
    *,
    bootstrap_samples: int = 0,
    seed: int = DEFAULT_SEED,
    format_name: str | None = None,
    format_file: str | Path | None = None,
    disagree: bool = False,
) -> dict[str, Any]:
    """Score a prediction file of any kind.

    Returns:
        What `score` returns, with `file`, `truth`, `members` (names of the runs in it) and, if
        asked for, `disagreements`.
    """
    truth = read_coco(truth_file)
    with cost_of_misreading(truth):
        predictions = read_any(
            predictions_file, truth, format_name=format_name, format_file=format_file
        )
    result = score(predictions, truth, bootstrap_samples=bootstrap_samples, seed=seed)
    result = {
        "file": str(predictions_file),
        "truth": str(truth_file),
        "members": member_names(predictions.provenance),
        **result,
    }
    result["notes"] += missing_image_notes(
        predictions_file, truth, format_name=format_name, format_file=format_file
    )
    if disagree:
        result["disagreements"] = disagreements(predictions, truth)
    return result


def diagnose_file(
    predictions_file: str | Path,
    truth_file: str | Path,
    *,
    score_threshold: float = 0.3,
    format_name: str | None = None,
    format_file: str | Path | None = None,
) -> dict[str, Any]:
    """Diagnose a prediction file of any kind as `diagnose` does."""
    truth = read_coco(truth_file)
    with cost_of_misreading(truth):
        predictions = read_any(
            predictions_file, truth, format_name=format_name, format_file=format_file
        )
    result = diagnose(predictions, truth, score_threshold=score_threshold)
    notes = missing_image_notes(
        predictions_file, truth, format_name=format_name, format_file=format_file
    )
    mistakes = mistake_costs(predictions, truth)
    notes = [*(mistake["note"] for mistake in mistakes), *notes]
    return {"file": str(predictions_file), **result, "mistakes": mistakes, "notes": notes}
