"""The preflight's result as text."""

from __future__ import annotations

from typing import Any

from data_tools.ground.findings import Finding
from submit.checks.findings import CheckResult


def check_text(result: CheckResult, difference: dict[str, Any] | None = None) -> str:
    """Return the findings of a preflight, errors first, and the comparison if there is one."""
    lines = [
        f"{result.file}: format {result.format}, {result.images} images "
        f"({result.empty_images} without boxes), {result.boxes} boxes, "
        f"{size_text(result.file_bytes)}"
    ]
    for finding in (*result.errors, *result.warnings):
        lines += _finding_lines(finding)
    if difference is not None:
        lines += _difference_lines(difference)
    errors, warnings = len(result.errors), len(result.warnings)
    verdict = "ready to hand in" if not errors else "NOT ready"
    return "\n".join([*lines, f"{verdict}: {errors} errors, {warnings} warnings"])


def size_text(size_bytes: int) -> str:
    """Return a size in words that still tell two small files apart."""
    if size_bytes < 100_000:
        return f"{size_bytes / 1e3:.1f} kB"
    return f"{size_bytes / 1e6:.2f} MB"


def _finding_lines(finding: Finding) -> list[str]:
    label = "ERROR  " if finding.level == "error" else "warning"
    return [f"  {label} {finding.message}", *(f"          {text}" for text in finding.examples)]


def _difference_lines(difference: dict[str, Any]) -> list[str]:
    if "not_compared" in difference:
        return [f"  not compared with {difference['against']}: {difference['not_compared']}"]
    lines = [
        f"  against {difference['against']}:",
        f"    {difference['images_changed']} of {difference['images']} images changed, boxes "
        f"{difference['boxes_before']} -> {difference['boxes_after']}",
    ]
    if difference["matched_boxes"]:
        correlation = difference["score_rank_correlation"]
        lines.append(
            f"    {difference['matched_boxes']} boxes have a partner there: mean IoU "
            f"{difference['mean_iou']:.4f}, rank correlation of scores "
            + ("not defined" if correlation is None else f"{correlation:.4f}")
        )
    return lines
