"""Whether a score can be trusted: images that any member or teacher was trained on."""

from __future__ import annotations

from typing import Any

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.provenance import Provenance

MAX_LISTED = 3


def leak_report(provenance: Provenance, truth: CocoDataset) -> dict[str, Any] | None:
    """Return what makes a score over `truth` untrustworthy, or None.

    Returns:
        None, or `images` (number of scored images that were seen in training, by the model, a
        member or a teacher), `of` (images scored), `examples` (file names) and `reasons`
        (combinations that were forced when the file was made).
    """
    seen = provenance.seen_file_names()
    overlap = [name for name in truth.file_names if name in seen]
    reasons = list(provenance.leak_reasons())
    if not overlap and not reasons:
        return None
    return {
        "images": len(overlap),
        "of": len(truth.images),
        "examples": overlap[:MAX_LISTED],
        "reasons": reasons,
    }


def member_names(provenance: Provenance) -> list[str]:
    """Return the names of the runs that were fused, or of the one run."""
    if provenance.members:
        return [name for member in provenance.members for name in member_names(member)]
    return [provenance.run or provenance.model or "unknown"]


def leak_line(leak: dict[str, Any] | None) -> str:
    """Return the line that stands beside every score of a leaking file; empty if it does not."""
    if not leak:
        return ""
    parts = []
    if leak["images"]:
        parts.append(
            f"{leak['images']} of {leak['of']} scored images were trained on"
            + "".join(f", such as {name}" for name in leak["examples"][:1])
        )
    return "LEAKED: " + "; ".join([*parts, *leak["reasons"]])
