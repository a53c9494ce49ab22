"""All members as one table of rows, and the sizes, classes and weights that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_tools.coco import CocoDataset
from data_tools.errors import UserError
from data_tools.predictions import Predictions
from ensemble.layout import Rows


@dataclass(frozen=True)
class MemberTable:
    """The boxes of all members on the same images.

    Attributes:
        image_ids: (I,) int64 ascending.
        sizes_wh: (I, 2) int64 width and height of each image.
        rows: the boxes, member after member.
        class_ids: (C,) int64 ascending, every label among them.
        member_of_source: (S,) int64 member that each sub-member belongs to. A member has one
            sub-member per test-time view.
        view_of_source: (S,) name of its view.
    """

    image_ids: np.ndarray
    sizes_wh: np.ndarray
    rows: Rows
    class_ids: np.ndarray
    member_of_source: np.ndarray
    view_of_source: tuple[str, ...]

    @cached_property
    def slots(self) -> np.ndarray:
        """(I + 1,) int64 first slot of each image when all members' boxes stand together."""
        counts = np.diff(self.rows.offsets, axis=1).sum(axis=0)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def number_of_members(self) -> int:
        """Members, not counting views."""
        return len(self.rows.offsets)


def select(table: MemberTable, images: np.ndarray, members: np.ndarray) -> MemberTable:
    """Return the table of some images and some members, as if the others had never been there.

    Args:
        table: the whole table.
        images: positions of the images, ascending.
        members: positions of the members, ascending.
    """
    counts = np.diff(table.rows.offsets, axis=1)[np.ix_(members, images)]
    starts = table.rows.offsets[np.ix_(members, images)]
    ends = np.cumsum(counts.ravel())
    take = np.arange(ends[-1] if len(ends) else 0) + np.repeat(
        starts.ravel() - (ends - counts.ravel()), counts.ravel()
    )
    first_rows = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])[:-1]
    kept_sources = np.isin(table.member_of_source, members)
    new_source = np.cumsum(kept_sources) - 1
    return MemberTable(
        image_ids=table.image_ids[images],
        sizes_wh=table.sizes_wh[images],
        rows=Rows(
            offsets=first_rows[:, None]
            + np.concatenate([np.zeros((len(members), 1), int), np.cumsum(counts, axis=1)], axis=1),
            boxes_xyxy=table.rows.boxes_xyxy[take],
            scores=table.rows.scores[take],
            labels=table.rows.labels[take],
            sources=new_source[table.rows.sources[take]].astype(np.uint16),
        ),
        class_ids=table.class_ids,
        member_of_source=np.searchsorted(members, table.member_of_source[kept_sources]),
        view_of_source=tuple(np.array(table.view_of_source)[kept_sources].tolist()),
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
    first_rows = np.cumsum([0, *(len(member) for member in members)])
    sources, member_of_source, view_of_source = _sources(members)
    return MemberTable(
        image_ids=image_ids,
        sizes_wh=dataset.sizes_wh[order],
        rows=Rows(
            offsets=np.stack(
                [member.offsets + start for member, start in zip(members, first_rows, strict=False)]
            ),
            boxes_xyxy=np.concatenate([member.boxes_xyxy for member in members]),
            scores=np.concatenate([member.scores for member in members]),
            labels=np.concatenate([member.labels for member in members]),
            sources=sources,
        ),
        class_ids=_checked_classes(members, dataset),
        member_of_source=member_of_source,
        view_of_source=view_of_source,
    )


def _sources(members: Sequence[Predictions]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    columns, member_of_source, view_of_source = [], [], []
    for number, member in enumerate(members):
        first_source = len(member_of_source)
        columns.append(member.views.astype(np.uint16) + np.uint16(first_source))
        member_of_source += [number] * len(member.provenance.views)
        view_of_source += member.provenance.views
    return np.concatenate(columns), np.array(member_of_source), tuple(view_of_source)


def _checked_classes(members: Sequence[Predictions], dataset: CocoDataset) -> np.ndarray:
    """Return the category ids, ascending, after making sure that no label is outside them.

    A dataset that lists no categories (images only) takes those of the members.
    """
    if not len(dataset.category_ids):
        labels = [np.unique(member.labels) for member in members]
        return np.unique(np.concatenate(labels))
    class_ids = np.sort(dataset.category_ids)
    for number, member in enumerate(members, start=1):
        position = np.minimum(np.searchsorted(class_ids, member.labels), len(class_ids) - 1)
        unknown = class_ids[position] != member.labels
        if unknown.any():
            raise UserError(
                f"member {number} has {int(unknown.sum())} boxes of unknown classes, "
                f"the first is label {int(member.labels[unknown][0])}",
                where=member.provenance.run,
                expected=f"category ids of {dataset.source}: {class_ids.tolist()}",
            )
    return class_ids
