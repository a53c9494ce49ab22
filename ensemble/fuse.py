"""Member files in, one prediction file out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions
from ensemble.engine import FusedTable, fuse_table
from ensemble.kernels.chunks import Progress
from ensemble.member_table import MemberTable, build_table
from ensemble.members import Member
from ensemble.settings import FusionSettings


@dataclass(frozen=True)
class Fusion:
    """A fusion with everything that explains it.

    Attributes:
        predictions: the fused boxes; row k is fused box k of `fused`.
        fused: scores before `score_divisor`, and which rows went into which box.
        table: the members' rows.
        score_divisor: what all scores were divided by so that the highest is at most 1.
    """

    predictions: Predictions
    fused: FusedTable
    table: MemberTable
    score_divisor: float


def fuse_members(
    members: Sequence[Member],
    dataset: CocoDataset,
    settings: FusionSettings,
    *,
    run: str = "ensemble",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Fusion:
    """Fuse members on the dataset's images.

    Fused scores can exceed 1 (uneven weights, `allows_overflow`). Then all of them are divided by
    the highest: the order of the boxes, and with it every AP, stays what it was.

    Raises:
        UserError: wrong number of weights (the message names the members in order).
    """
    check_number_of_weights(members, settings)
    table = build_table([member.predictions for member in members], dataset)
    fused = fuse_table(table, settings, threads=threads, progress=progress)
    divisor = max(1.0, float(fused.scores.max(initial=0.0)))
    predictions = Predictions(
        image_ids=fused.image_ids,
        offsets=fused.offsets,
        labels=fused.labels,
        scores=np.minimum(fused.scores / divisor, 1.0).astype(np.float32),
        boxes_xyxy=fused.boxes_xyxy,
        provenance=fused_provenance(members, dataset, settings, run),
    )
    return Fusion(predictions, fused, table, divisor)


def fused_provenance(
    members: Sequence[Member], dataset: CocoDataset, settings: FusionSettings, run: str
) -> Provenance:
    """Return the provenance of a fusion: its members' provenance, leaks included, in order."""
    return Provenance(
        dataset=dataset.fingerprint,
        model=settings.method,
        run=run,
        members=tuple(member.predictions.provenance for member in members),
    )


def leaking_members(members: Sequence[Member], truth: CocoDataset) -> dict[str, str]:
    """Return member name -> why scores over `truth` mean little with it; empty if they do not.

    Images without annotations are no truth: nothing is scored on them, and training on their
    pseudo-labels is what they are for.
    """
    from scoring.leaks import leak_line, leak_report

    if not truth.annotations:
        return {}
    lines = {
        member.name: leak_line(leak_report(member.predictions.provenance, truth))
        for member in members
    }
    return {name: line for name, line in lines.items() if line}


def check_number_of_weights(members: Sequence[Member], settings: FusionSettings) -> None:
    """Refuse a wrong number of weights; the message names the members in order."""
    if settings.weights is None or len(settings.weights) == len(members):
        return
    names = ", ".join(f"{number}: {member.name}" for number, member in enumerate(members, start=1))
    raise UserError(
        f"{len(settings.weights)} weights for {len(members)} members",
        where=f"the members in order are {names}",
        expected="one weight for each member, in this order",
    )
