"""The scorer's result as text."""

from __future__ import annotations

from typing import Any

from scoring.disagreement import count_reasons
from scoring.leaks import leak_line

VISIBLE_TIE_RANGE = 0.0005
MAX_DISAGREEMENTS = 20


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
    width = max(width, len("class"))
    lines.append(f"  {'class':<{width}}  competition_ap50     ap   ap50  truth  boxes")
    for name, row in result["per_class"].items():
        lines.append(
            f"  {name:<{width}}  {_number(row['competition_ap50']):>16} {_number(row['ap'])} "
            f"{_number(row['ap50'])} {row['truth_boxes']:>6} {row['boxes']:>6}"
        )
    lines.append(_caps_line(result["caps"]))
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


def _caps_line(caps: dict[str, Any]) -> str:
    lowest = caps["lowest_score"]
    return (
        f"  limits: IoU {caps['competition_iou_threshold']:g}; COCO counts "
        f"{caps['coco_max_detections_per_class_and_image']} boxes per class and image "
        f"({caps['coco_boxes_beyond_the_cap']} beyond); most boxes on an image "
        f"{caps['most_boxes_on_an_image']} ({caps['images_with_that_many']} images); lowest score "
        + ("-" if lowest is None else f"{lowest:.4g}")
    )


def _disagreement_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"  {len(rows)} boxes are judged differently by the two metrics at IoU .5"]
    lines += [f"    {count:>6}  {reason}" for reason, count in count_reasons(rows).items()]
    for row in rows[:MAX_DISAGREEMENTS]:
        box = ", ".join(f"{value:.1f}" for value in row["box"])
        lines.append(
            f"    {row['image']} {row['class']} {row['score']:.3f} [{box}]: "
            f"competition {row['competition']}, COCO {row['coco']}"
        )
    if len(rows) > MAX_DISAGREEMENTS:
        lines.append(f"    ... and {len(rows) - MAX_DISAGREEMENTS} more (--json has them all)")
    return lines


def _number(value: float | None) -> str:
    return "     -" if value is None else f"{value:.4f}"


def _interval(result: dict[str, Any], key: str = "competition_map50") -> str:
    found = result["intervals"].get(key)
    if not found or result[key] is None:
        return ""
    if found["low"] is None:
        return f"  [no interval: truth in {found['images']} images only]"
    return f"  [{found['low']:.4f}, {found['high']:.4f}]"
