"""What the mistake of leaving silent members out costs: replayed, counted, scored.

Scripts that call a fusion function image by image often collect only the members that have a box
there. The others then drop out of the denominator: a box that one of three models found keeps its
whole score on such images and a third of it elsewhere. Given weights, the reference package sees a
wrong number of them and sets all to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from ensemble.engine import fuse_table
from ensemble.fuse import check_number_of_weights
from ensemble.member_table import MemberTable, build_table, select
from ensemble.members import Member
from ensemble.settings import FusionSettings

# Scores in a submission are often printed with three or four digits.
SAME_SCORE = 1e-3
CHANGED = 1e-6


@dataclass(frozen=True)
class OldFile:
    """How an earlier submission compares on the images where the mistake changes something.

    Attributes:
        name: the file.
        mistaken: images whose scores are those of the mistake.
        correct: images whose scores are right.
        neither: images that fit neither (other members, settings or filters).
    """

    name: str
    mistaken: int
    correct: int
    neither: int


@dataclass(frozen=True)
class Audit:
    """The mistake on these members, counted.

    Attributes:
        images: images in all.
        images_with_silent_members: images on which a member, but not every member, has no box.
        images_changed: images on which the mistake changes a box or a score.
        boxes: fused boxes in all, fused rightly.
        boxes_changed: boxes whose score or corners the mistake changes.
        largest_score_change: largest change of an image's n-th highest score.
        correct: the right fusion.
        mistaken: the fusion with the mistake.
        old_files: earlier submissions.
    """

    images: int
    images_with_silent_members: int
    images_changed: int
    boxes: int
    boxes_changed: int
    largest_score_change: float
    correct: Predictions
    mistaken: Predictions
    old_files: tuple[OldFile, ...]


def audit(
    members: Sequence[Member],
    dataset: CocoDataset,
    settings: FusionSettings,
    old_files: Sequence[tuple[str, Predictions]] = (),
) -> Audit:
    """Fuse rightly and with the mistake, and count the difference.

    Args:
        members: the members that were fused, on all images of the dataset.
        dataset: the images.
        settings: the settings that were used.
        old_files: name and boxes of earlier submissions to compare with both.
    """
    check_number_of_weights(members, settings)
    table = build_table([member.predictions for member in members], dataset)
    right, wrong = fuse_rightly(table, settings), fuse_without_silent(table, settings)
    correct, mistaken = right.predictions(), wrong.predictions()
    present = table.boxes_per_image > 0
    mixed = present.any(axis=0) & ~present.all(axis=0)
    # Divided by the same number, so that a highest score above 1 changes no other image.
    divisor = max(right.divisor, wrong.divisor)
    before, after = right.predictions(divisor), wrong.predictions(divisor)
    changed_rows = changed_boxes(before, after)
    changed = np.zeros(len(table.image_ids), dtype=bool)
    changed[after.image_index_of_row[changed_rows]] = True
    largest = [_score_distance(before, after, image) for image in table.image_ids[changed]]
    return Audit(
        images=len(table.image_ids),
        images_with_silent_members=int(mixed.sum()),
        images_changed=int(changed.sum()),
        boxes=len(correct),
        boxes_changed=int(changed_rows.sum()),
        largest_score_change=max((d for d in largest if np.isfinite(d)), default=0.0),
        correct=correct,
        mistaken=mistaken,
        old_files=tuple(
            _compare_old(name, old, correct, mistaken, table.image_ids[changed])
            for name, old in old_files
        ),
    )


@dataclass(frozen=True)
class Replay:
    """A fusion image by image: columns as in `Predictions`, scores as they come, even above 1."""

    image_ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes_xyxy: np.ndarray

    @property
    def divisor(self) -> float:
        """What `fuse` divides all scores by, so that the highest is at most 1."""
        return max(1.0, float(self.scores.max(initial=0.0)))

    def predictions(self, divisor: float | None = None) -> Predictions:
        """Return it with all scores divided; None divides as `fuse` does."""
        scores = np.minimum(self.scores / (divisor or self.divisor), 1.0).astype(np.float32)
        return Predictions(self.image_ids, self.offsets, self.labels, scores, self.boxes_xyxy)


def fuse_rightly(table: MemberTable, settings: FusionSettings) -> Replay:
    """Return the fusion in which every member counts on every image."""
    return _fuse_patterns(table, settings, np.ones((table.number_of_members, 1), dtype=bool))


def fuse_without_silent(table: MemberTable, settings: FusionSettings) -> Replay:
    """Return the fusion in which only the members with a box on an image count there."""
    return _fuse_patterns(table, settings, table.boxes_per_image > 0)


def _fuse_patterns(table: MemberTable, settings: FusionSettings, counted: np.ndarray) -> Replay:
    """Fuse the images in groups that count the same members; `counted` is (M, I) or (M, 1)."""
    # Where nobody has a box it does not matter who counts.
    counted = counted | ~counted.any(axis=0)
    counted = np.broadcast_to(counted, (table.number_of_members, len(table.image_ids)))
    patterns, pattern_of_image = np.unique(counted, axis=1, return_inverse=True)
    counts = np.zeros(len(table.image_ids), np.int64)
    pieces = []
    for number, pattern in enumerate(patterns.T):
        images = np.flatnonzero(pattern_of_image.ravel() == number)
        part = select(table, images, np.flatnonzero(pattern))
        fused = fuse_table(part, _settings_of_pattern(settings, pattern, part))
        counts[images] = np.diff(fused.offsets)
        pieces.append((np.repeat(images, counts[images]), fused))
    order = np.argsort(np.concatenate([index for index, _ in pieces]), kind="stable")
    return Replay(
        image_ids=table.image_ids,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=np.concatenate([fused.labels for _, fused in pieces])[order],
        scores=np.concatenate([fused.scores for _, fused in pieces])[order],
        boxes_xyxy=np.concatenate([fused.boxes_xyxy for _, fused in pieces])[order],
    )


def _settings_of_pattern(
    settings: FusionSettings, pattern: np.ndarray, part: MemberTable
) -> FusionSettings:
    if pattern.all():
        return settings
    views = {k: v for k, v in settings.view_weights.items() if k in part.view_of_submember}
    # The reference package sets a wrong number of weights to 1; so does the mistake.
    return replace(settings, weights=None, view_weights=views)


def changed_boxes(before: Predictions, after: Predictions) -> np.ndarray:
    """Return an (N,) mask of the rows of `after` that have no equal among the rows of `before`."""
    columns = []
    for predictions in (before, after):
        numbers = np.column_stack([predictions.scores, predictions.boxes_xyxy]).astype(np.float64)
        keys = np.column_stack([predictions.image_id_of_row, predictions.labels, numbers])
        keys[:, 2:] = np.round(keys[:, 2:] / CHANGED)
        columns.append(keys)
    _, group = np.unique(np.concatenate(columns), axis=0, return_inverse=True)
    group = group.ravel()
    return ~np.isin(group[len(before) :], group[: len(before)])


def _score_distance(first: Predictions, second: Predictions, image_id: int) -> float:
    """Return the largest difference between the n-th highest scores; inf if counts differ."""
    scores = [np.sort(part.scores[part.rows(int(image_id))]) for part in (first, second)]
    if len(scores[0]) != len(scores[1]):
        return float("inf")
    return float(np.abs(scores[0] - scores[1]).max(initial=0.0))


def _compare_old(
    name: str, old: Predictions, correct: Predictions, mistaken: Predictions, images: np.ndarray
) -> OldFile:
    to_mistaken = np.array([_score_distance(old, mistaken, image) for image in images])
    to_correct = np.array([_score_distance(old, correct, image) for image in images])
    is_mistaken = (to_mistaken <= SAME_SCORE) & (to_mistaken < to_correct)
    is_correct = (to_correct <= SAME_SCORE) & ~is_mistaken
    return OldFile(
        name=name,
        mistaken=int(is_mistaken.sum()),
        correct=int(is_correct.sum()),
        neither=int((~is_mistaken & ~is_correct).sum()),
    )
