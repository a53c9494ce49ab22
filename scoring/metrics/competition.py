"""The competition's mAP50: all-point AP at IoU >= .5 with best-overlap matching in file order.

The rules are those of the `map_boxes` package, which teams use as the server's twin: for each
class in the truth, over the images that have truth (of any class), each box is compared with its
single best-overlapping truth of its class. It is a true positive if the overlap reaches the
threshold and no earlier row of the same image took that truth, else a false positive. Precision is
made monotone and summed over every recall step; the result is the mean over classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.metrics.accumulation import RankedOutcomes
from scoring.metrics.competition_kernels import best_truths, first_claims, stable_order
from scoring.table import ScoringTable, scoring_table

IOU_THRESHOLD = 0.5
ClaimOrder = Literal["file", "score"]


@dataclass(frozen=True)
class CompetitionMatcher:
    """Each box's best truth, found once; scores can then change at little cost.

    Rows are grouped by class, then by image in the order in which images first appear among the
    annotations, then as in the file. Boxes of classes or on images without truth cost nothing in
    this metric and are not among them.

    Attributes:
        rows: (K,) int64 row in the predictions of each box that counts.
        class_offsets: (C + 1,) int64; class c owns the rows `class_offsets[c]:class_offsets[c+1]`.
        image_index: (K,) int64 position in `image_ids`.
        best_truth: (K,) int64 position in the annotations of the best-overlapping truth of the
            box's class and image, if its IoU reaches the threshold; else -1.
        best_iou: (K,) float64 IoU with the best truth, whether or not it reaches the threshold.
        scores: (K,) float32.
        truth_counts: (C,) int64 truth boxes of each class.
        truth_image_index: (M,) int64 image of each truth box.
        truth_class_index: (M,) int64 class of each truth box.
        image_ids: (I,) int64 ascending.
        category_names: (C,) names, in the order of the truth file.
    """

    rows: np.ndarray
    class_offsets: np.ndarray
    image_index: np.ndarray
    best_truth: np.ndarray
    best_iou: np.ndarray
    scores: np.ndarray
    truth_counts: np.ndarray
    truth_image_index: np.ndarray
    truth_class_index: np.ndarray
    image_ids: np.ndarray
    category_names: tuple[str, ...]

    @classmethod
    def from_predictions(
        cls,
        predictions: Predictions,
        truth: CocoDataset,
        *,
        iou_threshold: float = IOU_THRESHOLD,
    ) -> CompetitionMatcher:
        """Match predictions with the truth of the same images; raises as `scoring_table`."""
        return cls.from_table(scoring_table(predictions, truth), iou_threshold=iou_threshold)

    @classmethod
    def from_table(
        cls, table: ScoringTable, *, iou_threshold: float = IOU_THRESHOLD
    ) -> CompetitionMatcher:
        """Match the boxes of a joined table."""
        class_count = len(table.category_ids)
        chosen = _rows_in_order(table)
        # The reference holds truth and predictions as float32, and compares them as float64.
        truth_boxes = table.truth_boxes_xyxy.astype(np.float32).astype(np.float64)
        truth_order, truth_offsets = _truth_by_class_and_image(table)
        best_truth, best_iou = best_truths(
            table.boxes_xyxy.astype(np.float32, copy=False),
            chosen,
            table.class_index * len(table.image_ids) + table.image_index,
            truth_boxes[truth_order],
            truth_order,
            truth_offsets,
        )
        best_truth[best_iou < iou_threshold] = -1
        counts = np.bincount(table.class_index[chosen], minlength=class_count)
        return cls(
            rows=table.rows[chosen],
            class_offsets=np.concatenate([[0], np.cumsum(counts)]),
            image_index=table.image_index[chosen],
            best_truth=best_truth,
            best_iou=best_iou,
            scores=table.scores[chosen].astype(np.float32, copy=False),
            truth_counts=table.truth_count_of_class,
            truth_image_index=table.truth_image_index,
            truth_class_index=table.truth_class_index,
            image_ids=table.image_ids,
            category_names=table.category_names,
        )

    def true_positives(
        self, *, claim_order: np.ndarray | None = None, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """Return a (K,) mask of the boxes that are first to take their truth.

        Args:
            claim_order: (K,) order in which boxes take truths; None means file order.
            keep: (K,) mask; boxes that are left out take nothing.
        """
        order = np.arange(len(self.rows)) if claim_order is None else claim_order
        kept = np.ones(len(self.rows), dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
        return first_claims(self.best_truth, order, kept, len(self.truth_image_index))

    def ranking(
        self, scores: np.ndarray | None = None, keep: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows by descending score within each class, as NumPy's own sort leaves ties.

        Ties are ordered exactly as in the reference, which calls `numpy.argsort` with its default
        kind on float32 scores. That sort is not stable: see `tie_range` for what ties can move.

        Args:
            scores: (K,) other scores for the same boxes; None means their own.
            keep: (K,) mask of boxes to rank; None means all.

        Returns:
            The ranked rows, and the (C + 1,) limits of the classes among them.
        """
        scores = self.scores if scores is None else np.asarray(scores, dtype=np.float32)
        keep = None if keep is None else np.asarray(keep, dtype=bool)
        parts = []
        for start, stop in zip(self.class_offsets[:-1], self.class_offsets[1:], strict=True):
            rows = np.arange(start, stop)
            if keep is not None:
                rows = rows[keep[start:stop]]
            # Left-out rows must not take part: they would change how ties fall.
            parts.append(rows[np.argsort(-scores[rows])])
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        return np.concatenate(parts).astype(np.int64), offsets

    def average_precision(
        self,
        scores: np.ndarray | None = None,
        *,
        keep: np.ndarray | None = None,
        claim_by: ClaimOrder = "file",
    ) -> np.ndarray:
        """Return the (C,) average precision of each class; NaN for classes without truth.

        Args:
            scores: (K,) other scores for the same boxes; None means their own.
            keep: (K,) mask of boxes to count.
            claim_by: "file": rows take truths as listed in the file, as the server does. "score":
                as if the file were written again in descending order of `scores`, which is what
                `submit write` does.
        """
        order, offsets = self.ranking(scores, keep)
        claim_order = order if claim_by == "score" else None
        hits = self.true_positives(claim_order=claim_order, keep=keep)
        return self._average_precision(hits, order, offsets, self._every_image_once())[0]

    def average_precision_on(self, image_weights: np.ndarray) -> np.ndarray:
        """Return the (R, C) average precision on each sample of images, boxes as they are.

        An image that is drawn twice counts as two images with the same boxes.

        Args:
            image_weights: (R, I) how often each image counts, whole numbers.
        """
        return self._average_precision(self.true_positives(), *self.ranking(), image_weights)

    def mean_average_precision(
        self,
        scores: np.ndarray | None = None,
        *,
        keep: np.ndarray | None = None,
        claim_by: ClaimOrder = "file",
    ) -> float:
        """Return the mean of `average_precision` over the classes in the truth."""
        return float(np.nanmean(self.average_precision(scores, keep=keep, claim_by=claim_by)))

    def tie_range(self) -> tuple[float, float]:
        """Return the lowest and highest mAP50 that any order among equal scores could give."""
        hits, once = self.true_positives(), self._every_image_once()
        class_of_row = np.repeat(np.arange(len(self.truth_counts)), np.diff(self.class_offsets))
        bounds = []
        for favoured in (hits, ~hits):
            order = np.lexsort((favoured, -self.scores, class_of_row))
            values = self._average_precision(hits, order, self.class_offsets, once)
            bounds.append(float(np.nanmean(values)))
        return bounds[0], bounds[1]

    def _every_image_once(self) -> np.ndarray:
        return np.ones((1, len(self.image_ids)))

    def _average_precision(
        self, hits: np.ndarray, order: np.ndarray, offsets: np.ndarray, image_weights: np.ndarray
    ) -> np.ndarray:
        """(R, C) all-point average precision of the boxes in this order."""
        ranked = RankedOutcomes(
            outcome=hits[order].astype(np.int8)[None, None],
            image_index=self.image_index[order],
            class_offsets=offsets,
            truth_image_index=self.truth_image_index,
            truth_class_index=self.truth_class_index,
            truth_counted=np.ones((1, len(self.truth_class_index)), dtype=bool),
            recall_points=np.zeros(0),
            tolerance=0.0,
        )
        return ranked.average_precision(image_weights)[:, 0, 0]


def _rank_of_image(table: ScoringTable) -> np.ndarray:
    """(I,) place of each image among the annotations; -1 for images without truth."""
    rank = np.full(len(table.image_ids), -1, dtype=np.int64)
    images, first_row = np.unique(table.truth_image_index, return_index=True)
    rank[images[np.argsort(first_row)]] = np.arange(len(images))
    return rank


def _rows_in_order(table: ScoringTable) -> np.ndarray:
    """Rows by class, then image among the annotations, then as in the file."""
    rank_of_image = _rank_of_image(table)
    has_truth = table.truth_count_of_class > 0
    class_count = len(table.category_ids)
    class_to_count = np.where(has_truth, np.arange(class_count), -1)
    rows = np.arange(len(table.rows))
    by_image = stable_order(rank_of_image[table.image_index], rows, len(table.image_ids))
    return stable_order(class_to_count[table.class_index], by_image, class_count)


def _truth_by_class_and_image(table: ScoringTable) -> tuple[np.ndarray, np.ndarray]:
    image_count, class_count = len(table.image_ids), len(table.category_ids)
    group = table.truth_class_index * image_count + table.truth_image_index
    counts = np.bincount(group, minlength=class_count * image_count)
    return np.argsort(group, kind="stable"), np.concatenate([[0], np.cumsum(counts)])
