"""The file beside a fusion that says which member boxes each fused box was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.report.gathered.gather import Material

COLUMNS = ("fused_row", "member", "box_of_image", "score", "iou")


def read_fused_sources(
    material: Material, notes: list[str]
) -> dict[int, list[dict[str, Any]]] | None:
    """Read where the fused boxes came from.

    Args:
        material: with a fusion.
        notes: receives a sentence when the file is missing or is no such file.

    Returns:
        Row of the fused file -> `member` (source name), `index` (place of the box among the
        member's boxes on the image), `score`, `iou` with the fused box. None without a file.
    """
    from ensemble.sources import sources_path

    path = sources_path(material.fusion.path)
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (FileNotFoundError, pa.ArrowInvalid, KeyError):
        notes.append(f"{path} is not there: the sources of fused boxes are not shown")
        return None
    names = _source_names(material, pq.read_table(path, columns=["member"]).column("member"))
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


def _source_names(material: Material, column: pa.ChunkedArray) -> dict[str, str]:
    """Map what the file calls each member (a path) to the name of the run shown."""
    shown = {source.path.resolve(): source.name for source in material.members}
    folders = {tuple(source.path.parts[-4:]): source.name for source in material.members}
    mapping = {}
    for name in column.unique().to_pylist():
        path = Path(name)
        # The path is as it was typed, so it may be relative to a folder that is not ours.
        mapping[name] = shown.get(path.resolve(), folders.get(path.parts[-4:], name))
    return mapping
