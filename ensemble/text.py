"""What the commands print, as text and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from data_tools.coco.dataset import CocoDataset
from ensemble.audit import Audit
from ensemble.explain import Explanation, MemberBox, class_names
from ensemble.fuse import Fusion
from ensemble.members import Member
from ensemble.settings import FusionSettings
from ensemble.tune import Tuned


def fuse_lines(
    fusion: Fusion,
    members: Sequence[Member],
    leaked: dict[str, str],
    files: Sequence[str | Path],
    notes: Sequence[str] = (),
) -> list[str]:
    """Return what was fused, what was repaired, noted, leaks, and what was written."""
    boxes, images = len(fusion.predictions), len(fusion.predictions.image_ids)
    total = fusion.table.number_of_boxes
    count = _count(len(members), "member", "s")
    lines = [f"fused {count}, {total} boxes -> {boxes} boxes on {images} images", *notes]
    repairs = fusion.fused.repairs
    counts = {
        "below --skip left out": repairs.below_skip,
        "turned inside out, corners swapped": repairs.turned,
        "clipped to the image": repairs.clipped,
        "without area left out": repairs.without_area,
    }
    lines += [f"  {count} boxes {text}" for text, count in counts.items() if count]
    if fusion.score_divisor > 1:
        lines.append(f"  all scores divided by {fusion.score_divisor:.4g}: the highest was above 1")
    for member in members:
        if member.missing_images:
            missing = len(member.missing_images)
            lines.append(f"  {member.name} misses {missing} images: counted as without boxes")
    lines += leak_lines(leaked)
    return [*lines, *(f"wrote {file}" for file in files)]


def fuse_as_dict(
    fusion: Fusion, members: Sequence[Member], leaked: dict[str, str]
) -> dict[str, Any]:
    """Return what was fused, repaired and missing, and the leaks, as a JSON object."""
    return {
        "members": [
            {"name": member.name, "missing_images": len(member.missing_images)}
            for member in members
        ],
        "images": len(fusion.predictions.image_ids),
        "boxes_before": fusion.table.number_of_boxes,
        "boxes": len(fusion.predictions),
        "repairs": asdict(fusion.fused.repairs),
        "score_divisor": fusion.score_divisor,
        "leaked": leaked,
    }


def leak_lines(leaked: dict[str, str]) -> list[str]:
    """Return a line for each leaking member."""
    return [f"  {name}: {reason}" for name, reason in leaked.items()]


def explanation_table(
    explanation: Explanation, dataset: CocoDataset, settings: FusionSettings
) -> Table:
    """Return one image's clusters as a table."""
    names = class_names(dataset)
    title = f"{explanation.file_name}: {settings.method}, IoU {settings.iou:g}"
    table = Table(title=title, caption=_silent_caption(explanation))
    for heading in ("box", "class", "from", "score", "weight", "IoU", "xmin ymin xmax ymax"):
        numeric = heading in ("score", "weight", "IoU")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for number, fused in enumerate(explanation.fused, start=1):
        origin = _count(len(fused.boxes), "box", "es")
        origin += " of " + _count(len({box.member for box in fused.boxes}), "member", "s")
        corners = _corners(fused.box_xyxy)
        row = (
            str(number),
            names.get(fused.label, str(fused.label)),
            origin,
            f"{fused.score:.4f}",
            "",
            "",
            corners,
        )
        table.add_row(*row, style="bold")
        for box in fused.boxes:
            table.add_row("", "", *_member_cells(box))
        table.add_section()
    for box in explanation.left_out:
        table.add_row(
            "left out", names.get(box.label, str(box.label)), *_member_cells(box), style="dim"
        )
    return table


def _member_cells(box: MemberBox) -> tuple[str, str, str, str, str]:
    name = box.member if box.view == "plain" else f"{box.member} ({box.view})"
    iou = "" if box.iou is None else f"{box.iou:.3f}"
    return name, f"{box.score:.4f}", f"{box.weight:g}", iou, _corners(box.box_xyxy)


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"


def _corners(box_xyxy: Sequence[float]) -> str:
    return " ".join(f"{value:.1f}" for value in box_xyxy)


def _silent_caption(explanation: Explanation) -> str | None:
    if not explanation.silent:
        return None
    return f"without a box here, counted all the same: {', '.join(explanation.silent)}"


def audit_lines(
    audit: Audit, scores: tuple[dict[str, Any], dict[str, Any]] | None, leaked: dict[str, str]
) -> list[str]:
    """Return what the mistake changes and, given scores (right, mistaken), what it costs."""
    lines = [
        "leaving members without boxes out of the fusion, image by image:",
        f"  {audit.images_with_silent_members} of {audit.images} images have a silent member",
        f"  {audit.images_changed} images and {audit.boxes_changed} of {audit.boxes} boxes change",
        f"  the largest change of a score is {audit.largest_score_change:.3f}",
    ]
    for old in audit.old_files:
        affected = old.mistaken + old.correct + old.neither
        lines.append(
            f"{old.name}: of {affected} affected images {old.mistaken} have the mistake, "
            f"{old.correct} are right, {old.neither} fit neither (other members or settings?)"
        )
    if scores:
        right, wrong = (score["competition_map50"] for score in scores)
        lines.append(
            f"competition_map50: right {right:.4f}, with the mistake {wrong:.4f}: "
            f"it costs {right - wrong:+.4f}"
        )
        lines += leak_lines(leaked)
    return lines


def audit_as_dict(
    audit: Audit, scores: tuple[dict[str, Any], dict[str, Any]] | None
) -> dict[str, Any]:
    """Return the counts, and the scores if there are any, as a JSON object."""
    names = ("images", "images_with_silent_members", "images_changed", "boxes", "boxes_changed")
    counts = {name: getattr(audit, name) for name in (*names, "largest_score_change")}
    counts["old_files"] = [asdict(old) for old in audit.old_files]
    for name, score in zip(("correct", "mistaken"), scores or (), strict=False):
        counts[f"competition_map50_{name}"] = rounded(score["competition_map50"])
    return counts


def tune_lines(tuned: Tuned, out: str | Path) -> list[str]:
    """Return the gain, with its warning, and the settings found."""
    found = tuned.settings
    weights = "all 1" if found.weights is None else ",".join(f"{w:g}" for w in found.weights)
    lines = [
        f"baseline competition_map50 {tuned.baseline:.4f}, tuned {tuned.score:.4f} "
        f"on the images it was tuned on (optimistic)",
        f"gain on held-out halves {tuned.held_out_gain:+.4f}: expect this on new images",
        f"iou {found.iou:g}, skip {found.skip:g}, {found.confidence}, weights {weights}",
    ]
    if tuned.held_out_gain <= 0:
        lines.append("the gain does not carry over to held-out images: keep the baseline")
    lines += leak_lines(tuned.leaked)
    return [*lines, f"wrote {out}"]


def rounded(value: float | np.floating) -> float:
    """Return a score for a JSON file, to nine digits."""
    return round(float(value), 9)
