"""Several prediction files side by side: members against their fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.predictions.files import read_predictions_and_gaps
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.table import Predictions
from scoring.leaks import leak_line, member_names
from scoring.mistake_costs import cost_of_misreading
from scoring.score import score
from submit.scores.of_file import gap_notes

COLUMNS = ("competition_map50", "map", "map50", "map_small", "map_medium", "map_large")


@dataclass(frozen=True)
class ScoredFile:
    """One line of the table.

    Attributes:
        name: the run, or the fusion; with the path where two files have the same.
        runs: names of the fused runs, or of the one run.
        is_fusion: whether it has members.
        result: what `scoring.score.score` returned.
    """

    name: str
    runs: tuple[str, ...]
    is_fusion: bool
    result: dict[str, Any]


def score_table(
    prediction_files: Sequence[str | Path],
    truth_file: str | Path,
    *,
    submission_format: SubmissionFormat | None = None,
) -> list[ScoredFile]:
    """Score every file against the same truth, in the order given.

    Raises:
        UserError: as `scoring.score.score`, for the first file that cannot be scored.
    """
    truth = read_coco(truth_file)
    rows = [_scored(Path(path), truth, submission_format) for path in prediction_files]
    names = [row.name for row in rows]
    # Files of one run, say of two epochs, can only be told apart by their paths.
    return [
        replace(row, name=f"{row.name} ({path})") if names.count(row.name) > 1 else row
        for row, path in zip(rows, prediction_files, strict=True)
    ]


def _scored(
    path: Path, truth: CocoDataset, submission_format: SubmissionFormat | None
) -> ScoredFile:
    with cost_of_misreading(truth):
        predictions, missing = read_predictions_and_gaps(path, truth, submission_format)
    result = score(predictions, truth)
    result["notes"] += gap_notes(missing)
    provenance = predictions.provenance
    runs = tuple(member_names(provenance))
    return ScoredFile(_name(path, predictions), runs, bool(provenance.members), result)


def _name(path: Path, predictions: Predictions) -> str:
    provenance = predictions.provenance
    if provenance.members:
        return f"{provenance.model} of {len(member_names(provenance))}"
    return provenance.run or path.stem


def table_text(rows: Sequence[ScoredFile]) -> str:
    """Return the table, the metric that counts first, and what the fusion gains on its members."""
    width = max([len(row.name) for row in rows] + [len("predictions")])
    head = "".join(
        f"{column:>19}" if column == COLUMNS[0] else f"{column:>12}" for column in COLUMNS
    )
    lines = [f"{'predictions':<{width}}{head}{'boxes':>9}"]
    for row in rows:
        values = [row.result[column] for column in COLUMNS]
        cells = f"{_number(values[0]):>19}" + "".join(f"{_number(v):>12}" for v in values[1:])
        leak = "  LEAKED" if row.result["leaked"] else ""
        lines.append(f"{row.name:<{width}}{cells}{row.result['boxes']:>9}{leak}")
    lines += [f"  {row.name}: {line}" for row in rows if (line := leak_line(row.result["leaked"]))]
    lines += [f"  {row.name}: {note}" for row in rows for note in row.result["notes"]]
    return "\n".join([*lines, *_gain_lines(rows)])


def _gain_lines(rows: Sequence[ScoredFile]) -> list[str]:
    lines = []
    for fusion in rows:
        members = [row for row in rows if not row.is_fusion and row.runs[0] in fusion.runs]
        if not fusion.is_fusion or not members:
            continue
        best = max(members, key=lambda row: row.result[COLUMNS[0]])
        gain = fusion.result[COLUMNS[0]] - best.result[COLUMNS[0]]
        leak = "  LEAKED" if fusion.result["leaked"] or best.result["leaked"] else ""
        lines.append(
            f"{fusion.name}: {gain:+.4f} {COLUMNS[0]} against its best member here, "
            f"{best.name}{leak}"
        )
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
