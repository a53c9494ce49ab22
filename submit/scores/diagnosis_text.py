"""The diagnosis as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from scoring.leaks import leak_line

MOST_CONFUSIONS = 8


def diagnosis_text(result: dict[str, Any]) -> str:
    """Return errors by kind, the worst confusions, thresholds and calibration."""
    leak = leak_line(result["leaked"])
    errors, calibration = result["errors"], result["calibration"]
    lines = [result["file"], *([leak] if leak else [])]
    lines.append(f"errors at IoU .5 (AP50 {errors['ap50']:.4f}):")
    lines += [
        f"  {kind:<5} {count:>7}  fixing them wins {errors['ap50_gain'][kind]:+.4f}  "
        f"({errors['meaning'][kind]})"
        for kind, count in errors["counts"].items()
    ]
    lines += _confusion_lines(result["confusion"])
    lines.append("best F1 by class (mAP50 itself wants no threshold):")
    width = max(len(name) for name in result["thresholds"])
    lines += [
        f"  {name:<{width}}  {_threshold_text(row)}" for name, row in result["thresholds"].items()
    ]
    lines.append(
        f"calibration: scores are off by {calibration['expected_error']:.3f} on average, by "
        f"{calibration['worst_error']:.3f} at worst"
    )
    lines += [f"note: {note}" for note in result["notes"]]
    return "\n".join(lines)


def _confusion_lines(confusion: dict[str, Any]) -> list[str]:
    matrix, labels = np.array(confusion["matrix"]), confusion["labels"]
    off_diagonal = matrix.copy()
    np.fill_diagonal(off_diagonal, 0)
    off_diagonal[-1, :] = off_diagonal[:, -1] = 0
    order = np.argsort(-off_diagonal, axis=None, kind="stable")[:MOST_CONFUSIONS]
    lines = [f"taken for another class (scores from {confusion['score_threshold']:g}):"]
    lines += [
        f"  {off_diagonal[row, column]:>7}  {labels[row]} -> {labels[column]}"
        for row, column in zip(*np.unravel_index(order, matrix.shape), strict=True)
        if off_diagonal[row, column]
    ]
    missed, invented = int(matrix[:-1, -1].sum()), int(matrix[-1, :-1].sum())
    return [*lines, f"  {missed:>7}  truth boxes not found", f"  {invented:>7}  boxes on nothing"]


def _threshold_text(row: dict[str, float] | None) -> str:
    if row is None:
        return "nothing found"
    return (
        f"score {row['threshold']:.3f}  F1 {row['f1']:.3f}  precision {row['precision']:.3f}  "
        f"recall {row['recall']:.3f}"
    )
