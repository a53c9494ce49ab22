"""One image's clusters: which boxes of which member became which fused box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from ensemble.engine import submember_weights
from ensemble.fuse import Fusion
from ensemble.settings import FusionSettings
from ensemble.sources import paired_iou


@dataclass(frozen=True)
class MemberBox:
    """One member's box; `iou` is its overlap with the fused box, None if it went into none."""

    member: str
    view: str
    label: int
    score: float
    weight: float
    box_xyxy: tuple[float, ...]
    iou: float | None


@dataclass(frozen=True)
class FusedBox:
    """A fused box and the boxes that it came from, by descending score."""

    label: int
    score: float
    box_xyxy: tuple[float, ...]
    boxes: tuple[MemberBox, ...]


@dataclass(frozen=True)
class Explanation:
    """One image's fusion.

    Attributes:
        file_name: of the image.
        fused: fused boxes by descending score.
        left_out: member boxes that went into none (below `skip`, without area, suppressed).
        silent: members without a box on the image; they count all the same.
    """

    file_name: str
    fused: tuple[FusedBox, ...]
    left_out: tuple[MemberBox, ...]
    silent: tuple[str, ...]


def class_names(dataset: CocoDataset) -> dict[int, str]:
    """Return category id -> name, as the dataset has them."""
    return dict(zip(dataset.category_ids.tolist(), dataset.category_names, strict=True))


def find_image(dataset: CocoDataset, image: str) -> int:
    """Return the id of an image given by file name, the end of its file name, or id."""
    exact = dataset.image_id_of_file_name.get(image)
    if exact is not None:
        return exact
    ends = [name for name in dataset.file_names if name.endswith("/" + image)]
    if len(ends) == 1:
        return dataset.image_id_of_file_name[ends[0]]
    if image.isdigit() and int(image) in dataset.index_of_image_id:
        return int(image)
    raise UserError(
        f"no image {image!r}" if not ends else f"{len(ends)} images end with {image!r}",
        where=dataset.source,
        expected=f"a file name such as {dataset.file_names[0]!r}, or an image id",
    )


def explain_image(
    fusion: Fusion,
    dataset: CocoDataset,
    names: Sequence[str],
    settings: FusionSettings,
    image_id: int,
) -> Explanation:
    """Return one image's clusters.

    Args:
        fusion: the fusion of all images.
        dataset: the images.
        names: name of each member.
        settings: what it was fused with.
        image_id: the image.
    """
    index = int(np.searchsorted(fusion.fused.image_ids, image_id))
    starts, ends = fusion.table.rows.offsets[:, index], fusion.table.rows.offsets[:, index + 1]
    rows = np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)])
    rows = rows[np.argsort(-fusion.table.rows.scores[rows], kind="stable")]
    boxes = _member_boxes(fusion, names, settings, rows)
    target = fusion.fused.cluster_of_row[rows]
    fused = []
    for row in range(fusion.fused.offsets[index], fusion.fused.offsets[index + 1]):
        own = tuple(boxes[position] for position in np.flatnonzero(target == row))
        fused.append(
            FusedBox(
                label=int(fusion.fused.labels[row]),
                score=float(fusion.predictions.scores[row]),
                box_xyxy=tuple(fusion.fused.boxes_xyxy[row].tolist()),
                boxes=own,
            )
        )
    return Explanation(
        file_name=dataset.images[dataset.index_of_image_id[image_id]]["file_name"],
        fused=tuple(fused),
        left_out=tuple(boxes[position] for position in np.flatnonzero(target < 0)),
        silent=tuple(name for name, a, b in zip(names, starts, ends, strict=True) if a == b),
    )


def _member_boxes(
    fusion: Fusion, names: Sequence[str], settings: FusionSettings, rows: np.ndarray
) -> list[MemberBox]:
    table, target = fusion.table, fusion.fused.cluster_of_row[rows]
    weights = submember_weights(table, settings)
    ious = np.zeros(len(rows))
    joined = target >= 0
    ious[joined] = paired_iou(
        table.rows.boxes_xyxy[rows[joined]], fusion.fused.boxes_xyxy[target[joined]]
    )
    found = []
    for position, row in enumerate(rows):
        submember = table.rows.submembers[row]
        found.append(
            MemberBox(
                member=names[table.member_of_submember[submember]],
                view=table.view_of_submember[submember],
                label=int(table.rows.labels[row]),
                score=float(table.rows.scores[row]),
                weight=float(weights[submember]),
                box_xyxy=tuple(table.rows.boxes_xyxy[row].tolist()),
                iou=float(ious[position]) if joined[position] else None,
            )
        )
    return found
