"""Which member boxes every fused box came from, as a table and as a file beside the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.ground.files import sha256_of_file, whole_file
from ensemble.engine import submember_weights
from ensemble.fuse import Fusion
from ensemble.settings import FusionSettings

METADATA_KEY = "boxcamp_fusion"


@dataclass(frozen=True)
class Sources:
    """One entry per member box that went into a fused box, by fused box, then descending score.

    Attributes:
        fused_rows: (L,) int64 row of the result.
        rows: (L,) int64 row in the table of all members.
        image_ids: (L,) int64.
        members: (L,) int64 number of the member, from 0.
        views: (L,) names of the test-time view.
        boxes_of_image: (L,) int64 position of the box among the member's boxes on the image, from
            0: the n-th of a PredictionString, the n-th by score of a prediction file.
        labels: (L,) int64 category ids.
        scores: (L,) float32 the member's own score.
        weights: (L,) float64 weight that the score was given.
        boxes_xyxy: (L, 4) float32 the member's own box.
        ious: (L,) float64 overlap with the fused box.
    """

    fused_rows: np.ndarray
    rows: np.ndarray
    image_ids: np.ndarray
    members: np.ndarray
    views: np.ndarray
    boxes_of_image: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    boxes_xyxy: np.ndarray
    ious: np.ndarray


def fused_sources(fusion: Fusion, settings: FusionSettings) -> Sources:
    """Return where every fused box came from."""
    table, fused_row_of_row = fusion.table, fusion.fused.cluster_of_row
    joined = np.flatnonzero(fused_row_of_row >= 0)
    rows = joined[np.lexsort((-table.rows.scores[joined], fused_row_of_row[joined]))]
    fused_rows = fused_row_of_row[rows]
    submembers = table.rows.submembers[rows]
    members = table.member_of_submember[submembers]
    image_index = np.searchsorted(fusion.fused.offsets, fused_rows, side="right") - 1
    return Sources(
        fused_rows=fused_rows,
        rows=rows,
        image_ids=table.image_ids[image_index],
        members=members,
        views=np.array(table.view_of_submember)[submembers],
        boxes_of_image=rows - table.rows.offsets[members, image_index],
        labels=table.rows.labels[rows],
        scores=table.rows.scores[rows],
        weights=submember_weights(table, settings)[submembers],
        boxes_xyxy=table.rows.boxes_xyxy[rows],
        ious=paired_iou(table.rows.boxes_xyxy[rows], fusion.fused.boxes_xyxy[fused_rows]),
    )


def paired_iou(boxes_xyxy: np.ndarray, other_boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return the (N,) IoU of box i with other box i; 0 where the union is empty."""
    first, second = boxes_xyxy.astype(np.float64), other_boxes_xyxy.astype(np.float64)
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:], second[:, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=1)
    areas = [np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1) for boxes in (first, second)]
    union = areas[0] + areas[1] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def spread_of_fused(sources: Sources, size: int) -> dict[str, np.ndarray]:
    """Return, for each of `size` fused boxes, how many boxes and members agree and how closely.

    Returns:
        `boxes` and `members` (int64 counts), `iou_min` and `iou_mean` (float64 overlap of the
        member boxes with the fused box).
    """
    boxes = np.bincount(sources.fused_rows, minlength=size)
    iou_sum = np.bincount(sources.fused_rows, weights=sources.ious, minlength=size)
    iou_min = np.ones(size)
    np.minimum.at(iou_min, sources.fused_rows, sources.ious)
    pairs = np.unique(np.stack([sources.fused_rows, sources.members], axis=1), axis=0)
    return {
        "boxes": boxes,
        "members": np.bincount(pairs[:, 0], minlength=size),
        "iou_min": iou_min,
        "iou_mean": iou_sum / np.maximum(boxes, 1),
    }


def write_sources(
    path: str | Path,
    sources: Sources,
    names: Sequence[str],
    settings: FusionSettings,
    *,
    predictions: Path,
) -> None:
    """Write sources as Parquet, whole or not at all.

    Args:
        path: the file.
        sources: from `fused_sources`.
        names: name of each member.
        settings: what they were fused with; kept in the file's metadata with the names.
        predictions: the fused file, written already; its hash is kept too, so that the sources
            are not taken for those of another fusion.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    spread = spread_of_fused(sources, int(sources.fused_rows.max(initial=-1)) + 1)
    boxes = sources.boxes_xyxy
    columns = {
        "fused_row": sources.fused_rows,
        "image_id": sources.image_ids,
        "member": pa.DictionaryArray.from_arrays(sources.members, list(names)),
        "view": pa.array(sources.views).dictionary_encode(),
        "box_of_image": sources.boxes_of_image,
        "label": sources.labels,
        "score": sources.scores,
        "weight": sources.weights,
        **{name: boxes[:, side] for side, name in enumerate(("xmin", "ymin", "xmax", "ymax"))},
        "iou": sources.ious.astype(np.float32),
        "cluster_boxes": spread["boxes"][sources.fused_rows],
        "cluster_members": spread["members"][sources.fused_rows],
        "cluster_iou_min": spread["iou_min"][sources.fused_rows].astype(np.float32),
        "cluster_iou_mean": spread["iou_mean"][sources.fused_rows].astype(np.float32),
    }
    metadata = {
        "members": list(names),
        "settings": settings.as_dict(),
        "predictions_sha256": sha256_of_file(predictions),
    }
    table = pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(metadata)})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def belongs_to(path: Path, predictions: Path) -> bool:
    """Tell whether a file of sources was written for this very fused file."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    try:
        recorded = json.loads(metadata[METADATA_KEY.encode()])["predictions_sha256"]
    except (KeyError, TypeError, ValueError):
        return False
    return bool(recorded == sha256_of_file(predictions))
