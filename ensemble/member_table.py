"""All members as one table of rows, and the sizes, classes and weights that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.table import Predictions
from ensemble.kernels.layout import Rows

# Labels are checked in blocks: temporary arrays as long as the table would be fresh memory, which
# costs more than the check.
LABELS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class MemberTable:
    """The boxes of all members on the same images.

    Attributes:
        image_ids: (I,) int64 ascending.
        sizes_wh: (I, 2) int64 width and height of each image.
        members: the rows of each member, with (1, I + 1) offsets from 0.
        class_ids: (C,) int64 ascending, every label among them.
        member_of_submember: (S,) int64 member that each sub-member belongs to. A member has one
            sub-member per test-time view.
        view_of_submember: (S,) name of its view.
    """

    image_ids: np.ndarray
    sizes_wh: np.ndarray
    members: tuple[Rows, ...]
    class_ids: np.ndarray
    member_of_submember: np.ndarray
    view_of_submember: tuple[str, ...]

    @cached_property
    def rows(self) -> Rows:
        """All boxes, member after member: a copy of the whole table, made when first asked for."""
        return self.rows_of_images(0, len(self.image_ids))

    def rows_of_images(self, first: int, last: int) -> Rows:
        """Return the boxes on images `first` to `last - 1`, member after member."""
        own = [
            slice(int(member.offsets[0, first]), int(member.offsets[0, last]))
            for member in self.members
        ]
        starts = np.cumsum([0, *(part.stop - part.start for part in own)])
        offsets = [
            member.offsets[0, first : last + 1] + (start - part.start)
            for member, part, start in zip(self.members, own, starts, strict=False)
        ]
        columns = [
            np.concatenate([column[part] for column, part in zip(same, own, strict=True)])
            for same in zip(*(member[1:] for member in self.members), strict=True)
        ]
        return Rows(np.stack(offsets), *columns)

    @cached_property
    def boxes_per_image(self) -> np.ndarray:
        """(M, I) int64 boxes of each member on each image."""
        return np.concatenate([np.diff(member.offsets, axis=1) for member in self.members])

    @cached_property
    def slots(self) -> np.ndarray:
        """(I + 1,) int64 first slot of each image when all members' boxes stand together."""
        return np.concatenate([[0], np.cumsum(self.boxes_per_image.sum(axis=0))]).astype(np.int64)

    @property
    def number_of_members(self) -> int:
        """Members, not counting views."""
        return len(self.members)

    @property
    def number_of_boxes(self) -> int:
        """Boxes of all members."""
        return sum(len(member.scores) for member in self.members)


def select(table: MemberTable, images: np.ndarray, members: np.ndarray) -> MemberTable:
    """Return the table of some images and some members, as if the others had never been there.

    Args:
        table: the whole table.
        images: positions of the images, ascending.
        members: positions of the members, ascending.
    """
    kept_submembers = np.isin(table.member_of_submember, members)
    new_submember = (np.cumsum(kept_submembers) - 1).astype(np.uint16)
    return MemberTable(
        image_ids=table.image_ids[images],
        sizes_wh=table.sizes_wh[images],
        members=tuple(_select_images(table.members[m], images, new_submember) for m in members),
        class_ids=table.class_ids,
        member_of_submember=np.searchsorted(members, table.member_of_submember[kept_submembers]),
        view_of_submember=tuple(np.array(table.view_of_submember)[kept_submembers].tolist()),
    )


def _select_images(member: Rows, images: np.ndarray, new_submember: np.ndarray) -> Rows:
    counts = np.diff(member.offsets[0])[images]
    ends = np.cumsum(counts)
    take = np.repeat(member.offsets[0, images] - (ends - counts), counts) + np.arange(counts.sum())
    return Rows(
        offsets=np.concatenate([[0], ends]).astype(np.int64)[None],
        boxes_xyxy=member.boxes_xyxy[take],
        scores=member.scores[take],
        labels=member.labels[take],
        submembers=new_submember[member.submembers[take]],
    )


def build_table(members: Sequence[Predictions], dataset: CocoDataset) -> MemberTable:
    """Put members side by side, joined by image id.

    Args:
        members: predictions of exactly the dataset's images, in the order of the weights.
        dataset: sizes and classes.

    Raises:
        UserError: no member, a member of other images, or a label that is no category.
    """
    if not members:
        raise UserError("there is nothing to fuse", expected="at least one member")
    order = np.argsort(dataset.image_ids)
    image_ids = dataset.image_ids[order]
    for number, member in enumerate(members, start=1):
        if not np.array_equal(member.image_ids, image_ids):
            raise UserError(
                f"member {number} lists {len(member.image_ids)} images",
                expected=f"the {len(image_ids)} images of {dataset.source}",
            )
    class_ids = _checked_classes(members, dataset)
    first_submembers = np.cumsum([0, *(len(member.provenance.views) for member in members)])
    return MemberTable(
        image_ids=image_ids,
        sizes_wh=dataset.sizes_wh[order],
        members=tuple(
            Rows(
                offsets=member.offsets[None],
                # The reference code computes in float32, whatever the file holds.
                boxes_xyxy=member.boxes_xyxy.astype(np.float32, copy=False),
                scores=member.scores.astype(np.float32, copy=False),
                labels=member.labels,
                submembers=member.views.astype(np.uint16) + np.uint16(first),
            )
            for member, first in zip(members, first_submembers, strict=False)
        ),
        class_ids=class_ids,
        member_of_submember=np.repeat(np.arange(len(members)), np.diff(first_submembers)),
        view_of_submember=tuple(view for member in members for view in member.provenance.views),
    )


def _checked_classes(members: Sequence[Predictions], dataset: CocoDataset) -> np.ndarray:
    """Return the category ids, ascending, after making sure that no label is outside them.

    A dataset that lists no categories (images only) takes those of the members.
    """
    if not len(dataset.category_ids):
        labels = [np.unique(member.labels) for member in members]
        return np.unique(np.concatenate(labels))
    class_ids = np.sort(dataset.category_ids)
    for number, member in enumerate(members, start=1):
        unknown = _labels_outside(member.labels, class_ids)
        if len(unknown):
            raise UserError(
                f"member {number} has {len(unknown)} boxes of unknown classes, "
                f"the first is label {int(unknown[0])}",
                where=member.provenance.run,
                expected=f"category ids of {dataset.source}: {class_ids.tolist()}",
            )
    return class_ids


def _labels_outside(labels: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Return the labels that are no class, in their order."""
    blocks = [
        labels[start : start + LABELS_PER_BLOCK]
        for start in range(0, len(labels), LABELS_PER_BLOCK)
    ]
    return np.concatenate(
        [np.zeros(0, np.int64), *(block[~np.isin(block, class_ids)] for block in blocks)]
    )
