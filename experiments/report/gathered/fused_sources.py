"""The file beside a fusion that says which member boxes each fused box was made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_tools.ground.paths import sources_path
from experiments.report.gathered.gather import ScoredPredictions

COLUMNS = ("fused_row", "member", "box_of_image", "score", "iou")


def read_fused_sources(
    fusion: ScoredPredictions, members: Sequence[ScoredPredictions], notes: list[str]
) -> dict[int, list[dict[str, Any]]] | None:
    """Read where the fused boxes came from.

    Args:
        fusion: the fused predictions.
        members: the single runs that the page shows.
        notes: receives a sentence when the file is missing, no such file, or another fusion's.

    Returns:
        Row of the fused file -> `member` (its name), `index` (place of the box among the
        member's boxes on the image), `score`, `iou` with the fused box. None without a file.
    """
    from ensemble.sources import belongs_to

    path = sources_path(fusion.path)
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (FileNotFoundError, pa.ArrowInvalid, KeyError):
        notes.append(f"{path} is not there: the sources of fused boxes are not shown")
        return None
    if not belongs_to(path, fusion.path):
        notes.append(
            f"{path} belongs to another fusion than {fusion.path}: the sources of fused boxes are "
            "not shown (fuse again)"
        )
        return None
    names = _shown_names(members, pq.read_table(path, columns=["member"]).column("member"))
    sources: dict[int, list[dict[str, Any]]] = {}
    columns = [table.column(name).to_pylist() for name in COLUMNS]
    for row, member, place, score, iou in zip(*columns, strict=True):
        entry = {
            "member": names[member],
            "index": int(place),
            "score": round(float(score), 4),
            "iou": round(float(iou), 4),
        }
        sources.setdefault(int(row), []).append(entry)
    return sources


def _shown_names(members: Sequence[ScoredPredictions], column: pa.ChunkedArray) -> dict[str, str]:
    """Map what the file calls each member (a path) to the name of the run shown."""
    shown = {scored.path.resolve(): scored.name for scored in members}
    folders = {tuple(scored.path.parts[-4:]): scored.name for scored in members}
    mapping = {}
    for name in column.unique().to_pylist():
        path = Path(name)
        # The path is as it was typed, so it may be relative to a folder that is not ours.
        mapping[name] = shown.get(path.resolve(), folders.get(path.parts[-4:], name))
    return mapping
