"""How small a submission can be without losing points, and whether its limits already cost some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.predictions.files import read_predictions_and_gaps
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.table import Predictions
from scoring.leaks import leak_line, leak_report
from scoring.metrics.competition import CompetitionMatcher
from scoring.mistake_costs import cost_of_misreading
from submit.checks.text import size_text
from submit.printing import printed_lengths
from submit.scores.of_file import gap_notes
from submit.trimming import Trim, kept_by
from submit.write import prepared

CAPS = (10, 20, 30, 50, 70, 100, 150, 200, 300)
SCORE_DIGITS = (None, 6, 5, 4, 3, 2)
COORDINATE_DIGITS = (None, 2, 1, 0)
# A floor or a cap is called costly when tightening it once more loses this much mAP50.
COSTLY = 0.0005


class TrimSearch:
    """Scores and sizes of trimmed versions of one validation file, found without matching anew.

    Args:
        predictions: boxes for exactly the images of `truth`.
        truth: the annotations.
    """

    def __init__(self, predictions: Predictions, truth: CocoDataset) -> None:
        if not len(predictions):
            raise UserError("there is no box to plan with", expected="predictions with boxes")
        self.predictions = predictions.sorted_by_score()
        self.truth = truth
        self._matchers: dict[int | None, CompetitionMatcher] = {}
        self._lengths: dict[tuple[int | None, int | None], np.ndarray] = {}

    def map50(self, trim: Trim) -> float:
        """Return the competition's mAP50 of the trimmed file, as it would read back."""
        matcher = self._matcher(trim.coordinate_digits)
        scores = self.predictions.scores
        if trim.score_digits is not None:
            scores = np.round(scores.astype(np.float64), trim.score_digits)
        keep = kept_by(trim, self.predictions)
        # Rounding may tie scores but never reorders them, so the file's order stays the order of
        # claims.
        return matcher.mean_average_precision(scores[matcher.rows], keep=keep[matcher.rows])

    def boxes(self, trim: Trim) -> int:
        """Return how many boxes stay."""
        return int(kept_by(trim, self.predictions).sum())

    def size(self, trim: Trim) -> int:
        """Return the bytes of the boxes in the `aistages` format, file names not counted."""
        key = (trim.score_digits, trim.coordinate_digits)
        if key not in self._lengths:
            self._lengths[key] = printed_lengths(self.predictions, *key)
        return int(self._lengths[key][kept_by(trim, self.predictions)].sum())

    def highest_floor(self, trim: Trim, lowest_map50: float) -> float:
        """Return the highest score floor that keeps `lowest_map50`, given the rest of `trim`."""
        floors = np.unique(self.predictions.scores)
        low, high = 0, len(floors) - 1
        # Dropping the lowest scores never raises AP, so the floors that do are a run from the left.
        while low < high:
            middle = (low + high + 1) // 2
            if self.map50(replace(trim, score_floor=float(floors[middle]))) >= lowest_map50:
                low = middle
            else:
                high = middle - 1
        return float(floors[low])

    def _matcher(self, coordinate_digits: int | None) -> CompetitionMatcher:
        if coordinate_digits not in self._matchers:
            table = self.predictions
            if coordinate_digits is not None:
                boxes = np.round(table.boxes_xyxy.astype(np.float64), coordinate_digits)
                table = replace(table, boxes_xyxy=boxes, stated_sides_wh=None)
            self._matchers[coordinate_digits] = CompetitionMatcher.from_predictions(
                table, self.truth
            )
        return self._matchers[coordinate_digits]


def smallest_trim(search: TrimSearch, loss: float) -> tuple[Trim, dict[str, Any]]:
    """Return the smallest file whose mAP50 is within `loss` of the whole file's.

    Args:
        search: the validation file.
        loss: mAP50 that may be given up, 0 for none.

    Returns:
        The trim, and a JSON object with `map50`, `bytes` and `boxes` before and after.

    Raises:
        UserError: `loss` is no number from 0 to 1.
    """
    if not 0 <= loss <= 1:
        raise UserError(
            f"the loss is {loss}", expected="a number of mAP50 from 0 to 1, such as 0.001"
        )
    whole = Trim()
    full_map50 = search.map50(whole)
    best, best_size = whole, search.size(whole)
    for trim in _candidates(search):
        if search.map50(trim) < full_map50 - loss:
            continue
        floor = search.highest_floor(trim, full_map50 - loss)
        if floor > search.predictions.scores.min():
            trim = replace(trim, score_floor=floor)
        if search.size(trim) < best_size:
            best, best_size = trim, search.size(trim)
    return best, {
        "map50_before": full_map50,
        "map50_after": search.map50(best),
        "bytes_before": search.size(whole),
        "bytes_after": best_size,
        "boxes_before": search.boxes(whole),
        "boxes_after": search.boxes(best),
        "options": best.options(),
    }


def _candidates(search: TrimSearch) -> Iterator[Trim]:
    most = int(np.diff(search.predictions.offsets).max())
    caps = (None, *(cap for cap in CAPS if cap < most))
    for cap, score_digits, digits in product(caps, SCORE_DIGITS, COORDINATE_DIGITS):
        yield Trim(0.0, cap, score_digits, digits)


def cost_warnings(search: TrimSearch) -> list[str]:
    """Return warnings about a floor or a cap that the file itself seems to have been made with.

    What was cut away cannot be seen, but what tightening the same limit once more would cost can:
    if that is much, the limit in force is costing too.
    """
    table = search.predictions
    whole = search.map50(Trim())
    warnings = []
    floor = float(table.scores.min())
    floor_cost = whole - search.map50(Trim(score_floor=2 * floor))
    if floor > 0 and floor_cost >= COSTLY:
        warnings.append(
            f"no box is scored below {floor:.4g}, and dropping those below {2 * floor:.4g} would "
            f"cost {floor_cost:.4f} mAP50: a lower floor in prediction may win recall"
        )
    counts = np.diff(table.offsets)
    most = int(counts.max())
    at_cap = int((counts == most).sum())
    cap_cost = whole - search.map50(Trim(max_per_image=most // 2)) if most > 1 else 0.0
    if at_cap >= max(2, len(counts) // 100) and cap_cost >= COSTLY:
        warnings.append(
            f"{at_cap} images have exactly {most} boxes, the most there are, and halving that "
            f"would cost {cap_cost:.4f} mAP50: a higher cap per image may win recall"
        )
    return warnings


def plan_file(
    predictions_file: str | Path,
    truth_file: str | Path,
    *,
    loss: float,
    submission_format: SubmissionFormat | None = None,
) -> dict[str, Any]:
    """Plan with a validation file: `smallest_trim`, `warnings`, `leaked` as one JSON object."""
    truth = read_coco(truth_file)
    with cost_of_misreading(truth):
        found, missing = read_predictions_and_gaps(predictions_file, truth, submission_format)
    predictions, _ = prepared(found, truth)
    search = TrimSearch(predictions, truth)
    _, result = smallest_trim(search, loss)
    return {
        "file": str(predictions_file),
        "loss": loss,
        **result,
        "warnings": [*cost_warnings(search), *gap_notes(missing)],
        "leaked": leak_report(predictions.provenance, truth),
    }


def plan_text(result: dict[str, Any]) -> str:
    """Return what `submit plan` found, with the command that does it."""
    lines = [
        f"{result['file']}: whole file {result['boxes_before']} boxes, "
        f"{size_text(result['bytes_before'])}, competition_map50 {result['map50_before']:.4f} "
        "(as `submit write` orders and cuts it)",
        f"  smallest within {result['loss']:g}: {result['boxes_after']} boxes, "
        f"{size_text(result['bytes_after'])}, competition_map50 {result['map50_after']:.4f}",
        f"  submit write ... {result['options'] or '(nothing can go)'}",
    ]
    leak = leak_line(result["leaked"])
    lines += [leak] if leak else []
    return "\n".join([*lines, *(f"  warning {warning}" for warning in result["warnings"])])
