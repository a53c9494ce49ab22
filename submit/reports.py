"""Results as text for the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from submit.checks import CheckResult, Finding
from submit.disagreement import count_reasons
from submit.leaks import leak_line
from submit.writing import WriteReport

VISIBLE_TIE_RANGE = 0.0005
MAX_DISAGREEMENTS = 20


def write_text(out: Path, report: WriteReport) -> str:
    """Return what `submit write` did, with every repair counted."""
    lines = [
        f"wrote {out}: {report.images} images ({report.empty_images} without boxes), "
        f"{report.boxes} boxes"
    ]
    repairs = {
        "boxes cut to the image": report.clipped_boxes,
        "boxes dropped, nothing of them was inside the image": report.emptied_boxes,
        "images put into falling order of score": report.reordered_images,
    }
    lines += [f"  {count} {what}" for what, count in repairs.items() if count]
    return "\n".join(lines)


def score_text(result: dict[str, Any]) -> str:
    """Return the table of `submit score`, the metric that counts first."""
    leak = leak_line(result["leaked"])
    lines = [
        f"{result['file']}: {result['boxes']} boxes, {result['images']} images, "
        f"{result['truth_boxes']} truth boxes",
        *([leak] if leak else []),
        f"  competition_map50 {_number(result['competition_map50'])}{_interval(result)}"
        f"{'  LEAKED' if leak else ''}",
    ]
    keys = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    lines += [f"  {key:<17} {_number(result[key])}{_interval(result, key)}" for key in keys]
    width = max((len(name) for name in result["per_class"]), default=5)
    lines.append(f"  {'class':<{width}}  competition_ap50   ap  ap50  truth  boxes")
    for name, row in result["per_class"].items():
        lines.append(
            f"  {name:<{width}}  {_number(row['competition_ap50']):>16} {_number(row['ap'])} "
            f"{_number(row['ap50'])} {row['truth_boxes']:>6} {row['boxes']:>6}"
        )
    low, high = result["tie_range"]["low"], result["tie_range"]["high"]
    if high - low >= VISIBLE_TIE_RANGE:
        lines.append(
            f"  note: equal scores are in no certain order; another one would give between "
            f"{low:.4f} and {high:.4f} competition_map50"
        )
    lines += [f"  note: {note}" for note in result["notes"]]
    if "disagreements" in result:
        lines += _disagreement_lines(result["disagreements"])
    return "\n".join(lines)


def _disagreement_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"  {len(rows)} boxes are judged apart by the two metrics at IoU .5"]
    lines += [f"    {count:>6}  {reason}" for reason, count in count_reasons(rows).items()]
    for row in rows[:MAX_DISAGREEMENTS]:
        box = ", ".join(f"{value:.1f}" for value in row["box"])
        lines.append(
            f"    {row['image']} {row['class']} {row['score']:.3f} [{box}]: "
            f"competition {row['competition']}, COCO {row['coco']}"
        )
    if len(rows) > MAX_DISAGREEMENTS:
        lines.append(f"    ... and {len(rows) - MAX_DISAGREEMENTS} more (all are in --json)")
    return lines


def check_text(result: CheckResult, difference: dict[str, Any] | None = None) -> str:
    """Return the findings of a preflight, errors first, and the comparison if there is one."""
    lines = [
        f"{result.file}: format {result.format}, {result.images} images "
        f"({result.empty_images} without boxes), {result.boxes} boxes, "
        f"{result.file_bytes / 1e6:.2f} MB"
    ]
    for finding in (*result.errors, *result.warnings):
        lines += _finding_lines(finding)
    if difference is not None:
        lines += _difference_lines(difference)
    errors, warnings = len(result.errors), len(result.warnings)
    verdict = "ready to hand in" if not errors else "NOT ready"
    return "\n".join([*lines, f"{verdict}: {errors} errors, {warnings} warnings"])


def json_text(value: Any) -> str:
    """Return strict JSON for the terminal."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)


def _finding_lines(finding: Finding) -> list[str]:
    label = "ERROR  " if finding.severity == "error" else "warning"
    return [f"  {label} {finding.message}", *(f"          {text}" for text in finding.examples)]


def _difference_lines(difference: dict[str, Any]) -> list[str]:
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


def _number(value: float | None) -> str:
    return "    -" if value is None else f"{value:.4f}"


def _interval(result: dict[str, Any], key: str = "competition_map50") -> str:
    found = result["intervals"].get(key)
    return f"  [{found['low']:.4f}, {found['high']:.4f}]" if found else ""
