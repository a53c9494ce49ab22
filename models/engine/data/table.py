"""A COCO dataset as a few flat arrays: cheap to share with worker processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import clip_boxes
from data_tools.ground.errors import UserError


@dataclass(frozen=True)
class AnnotationTable:
    """Images and usable boxes of a dataset, as arrays.

    Flat arrays rather than lists of objects: worker processes touch the reference count of every
    object they read, which would copy the parent's memory page by page.

    Attributes:
        file_names: (I,) text, relative to the image root.
        image_ids: (I,) int64.
        sizes_wh: (I, 2) int64.
        offsets: (I + 1,) int64; image i owns the rows offsets[i]:offsets[i + 1].
        boxes_xyxy: (N, 4) float32, clipped to the image.
        labels: (N,) int64 class indices.
        weights: (N,) float32, from the annotation key `weight`, 1 where absent.
        left_out: counts of boxes that are not trained on, by reason, and of clipped ones.
    """

    file_names: np.ndarray
    image_ids: np.ndarray
    sizes_wh: np.ndarray
    offsets: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows(self, index: int) -> slice:
        """Return the rows of one image's boxes."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def size_wh(self, index: int) -> tuple[int, int]:
        """Return one image's width and height."""
        width, height = self.sizes_wh[index].tolist()
        return width, height


def annotation_table(coco: CocoDataset) -> AnnotationTable:
    """Collect what training needs from a dataset.

    Left out, as in mmdet's `CocoDataset`: boxes outside the image and boxes narrower or lower than
    one pixel. Crowd regions are left out as well: the assigners of all recipes ignore them.

    Raises:
        UserError: a `weight` is not a number from 0 to 1.
    """
    index_of_id = coco.index_of_image_id
    owners = np.array([index_of_id[i] for i in coco.annotation_image_ids.tolist()], dtype=np.int64)
    class_of_category = {int(value): index for index, value in enumerate(coco.category_ids)}
    labels = np.array([class_of_category[i] for i in coco.labels.tolist()], dtype=np.int64)
    sizes = coco.sizes_wh[owners] if len(owners) else np.zeros((0, 2), dtype=np.int64)
    boxes = coco.boxes_xyxy
    clipped = clip_boxes(boxes, sizes)
    keep, left_out = _usable_boxes(coco, boxes, clipped)
    order = np.flatnonzero(keep)[np.argsort(owners[keep], kind="stable")]
    counts = np.bincount(owners[order], minlength=len(coco.images))
    return AnnotationTable(
        file_names=np.array(coco.file_names, dtype=np.str_),
        image_ids=coco.image_ids,
        sizes_wh=coco.sizes_wh,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes_xyxy=clipped[order].astype(np.float32),
        labels=labels[order],
        weights=annotation_weights(coco)[order],
        left_out=left_out,
    )


def _usable_boxes(
    coco: CocoDataset, boxes: np.ndarray, clipped: np.ndarray
) -> tuple[np.ndarray, dict[str, int]]:
    crowd = coco.iscrowd
    outside = ~crowd & ((clipped[:, 2:] - clipped[:, :2]) <= 0).any(axis=1)
    tiny = ~crowd & ~outside & ((boxes[:, 2:] - boxes[:, :2]) < 1).any(axis=1)
    keep = ~(crowd | outside | tiny)
    # Files round coordinates to a tenth of a pixel or coarser; less than that is not a repair.
    moved = keep & (np.abs(boxes - clipped) > 0.1).any(axis=1)
    counts = {"crowd": crowd, "outside_image": outside, "under_one_pixel": tiny, "clipped": moved}
    return keep, {reason: int(mask.sum()) for reason, mask in counts.items()}


def annotation_weights(coco: CocoDataset) -> np.ndarray:
    """Return (N,) float32: each annotation's `weight`, 1 where it has none.

    Raises:
        UserError: a `weight` is not a number from 0 to 1.
    """
    values = [box.get("weight", 1.0) for box in coco.annotations]
    for box, value in zip(coco.annotations, values, strict=True):
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise UserError(
                f"`weight` is {value!r}",
                where=f"{coco.source}, annotation id {box['id']}",
                expected="a number from 0 to 1",
            )
    return np.array(values, dtype=np.float32)
