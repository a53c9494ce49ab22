"""Build the training part with pseudo-labels from a fold, test images and predictions."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import clip_boxes, xyxy_to_xywh
from data_tools.ground.errors import UserError
from data_tools.predictions.table import Predictions
from data_tools.pseudo.thresholds import Thresholds

WeightRule = Literal["one", "score"]
SHORTEST_SIDE_PX = 1.0


@dataclass(frozen=True)
class PseudoRules:
    """Which boxes and images are used, and how much a pseudo-label counts.

    Attributes:
        min_boxes: an image with fewer kept boxes is left out; 0 adds images without boxes.
        max_boxes: only this many boxes of an image are used, the surest; None for all.
        weight: "one": every label counts fully; "score": the loss is weighted with its score.
    """

    min_boxes: int = 1
    max_boxes: int | None = None
    weight: WeightRule = "one"

    def __post_init__(self) -> None:
        if self.min_boxes < 0:
            raise UserError(f"--min-per-image is {self.min_boxes}", expected="0 or more")
        if self.max_boxes is not None and self.max_boxes < max(self.min_boxes, 1):
            raise UserError(
                f"--max-per-image is {self.max_boxes}",
                expected=f"at least {max(self.min_boxes, 1)}",
            )


@dataclass(frozen=True)
class PseudoCounts:
    """What was added and what was left out."""

    images: int
    boxes: int
    boxes_per_class: dict[str, int]
    boxes_below_threshold: int
    boxes_over_maximum: int
    boxes_clipped: int
    boxes_without_area: int
    images_with_too_few_boxes: int
    images_excluded_as_duplicates: int
    images_broken: int


def build_pseudo_set(
    train: CocoDataset,
    test: CocoDataset,
    predictions: Predictions,
    thresholds: Thresholds,
    rules: PseudoRules,
    *,
    repeated: Set[str] = frozenset(),
    broken: Set[str] = frozenset(),
    reserved_image_ids: Set[int] = frozenset(),
) -> tuple[CocoDataset, PseudoCounts]:
    """Append confident test images and boxes to a training part.

    Args:
        train: training part of one fold.
        test: images that were predicted.
        predictions: boxes on them.
        thresholds: lowest score per class.
        rules: limits per image and the weight rule.
        repeated, broken: file names of test images to leave out: also in training, not decodable.
        reserved_image_ids: ids that new images must not get (those of the validation part).

    Returns:
        The new training part and the counts. New ids lie above all ids in use; every added image
        carries `pseudo: true` and `test_image_id`, every added box `score`, `weight` and
        `pseudo: true`.

    Raises:
        UserError: a label that is no category.
    """
    _check_labels(train, predictions)
    predictions = predictions.sorted_by_score()
    chosen = _choose(predictions, test, thresholds, rules, repeated, broken)
    rows, used = np.flatnonzero(chosen.boxes), chosen.images
    images, id_of_test_id = _new_images(
        train, test, predictions.image_ids[used], reserved_image_ids
    )
    annotations = _new_annotations(train, predictions, chosen, rows, id_of_test_id, rules)
    extended = replace(
        train,
        images=(*train.images, *images),
        annotations=(*train.annotations, *annotations),
        skipped=(),
        source=None,
    )
    counts = PseudoCounts(
        images=len(images),
        boxes=len(rows),
        boxes_per_class=_per_class(train, predictions.labels[rows]),
        boxes_clipped=int(chosen.clipped[rows].sum()),
        **chosen.left_out,
    )
    return extended, counts


@dataclass(frozen=True)
class _Choice:
    """Which boxes (N,) and images (I,) are used, the (N, 4) clipped boxes, and why others not."""

    boxes: np.ndarray
    images: np.ndarray
    boxes_xyxy: np.ndarray
    clipped: np.ndarray
    left_out: dict[str, int]


def _choose(
    predictions: Predictions,
    test: CocoDataset,
    thresholds: Thresholds,
    rules: PseudoRules,
    repeated: Set[str],
    broken: Set[str],
) -> _Choice:
    sure = thresholds.keep(predictions)
    boxes_xyxy, clipped, usable = _clipped(predictions, test)
    kept = sure & usable
    most = len(predictions) if rules.max_boxes is None else rules.max_boxes
    limited = kept & (_rank_within_image(predictions, kept) < most)
    image_of_row = predictions.image_index_of_row
    per_image = np.bincount(image_of_row[limited], minlength=len(predictions.image_ids))
    names = [test.file_names[test.index_of_image_id[i]] for i in predictions.image_ids.tolist()]
    is_broken = np.array([name in broken for name in names], dtype=bool)
    allowed = np.array([name not in repeated for name in names], dtype=bool)
    used = (per_image >= rules.min_boxes) & allowed & ~is_broken
    left_out = {
        "boxes_below_threshold": int((~sure).sum()),
        "boxes_over_maximum": int((kept & ~limited).sum()),
        "boxes_without_area": int((sure & ~usable).sum()),
        "images_with_too_few_boxes": int((allowed & ~is_broken & ~used).sum()),
        "images_excluded_as_duplicates": int((~allowed & ~is_broken).sum()),
        "images_broken": int(is_broken.sum()),
    }
    return _Choice(limited & used[image_of_row], used, boxes_xyxy, clipped, left_out)


def _check_labels(train: CocoDataset, predictions: Predictions) -> None:
    unknown = np.setdiff1d(predictions.labels, train.category_ids)
    if len(unknown):
        raise UserError(
            f"the predictions have the label {int(unknown[0])}, which is no category of the "
            "training part",
            expected=f"one of {sorted(train.category_ids.tolist())}",
        )


def _clipped(
    predictions: Predictions, test: CocoDataset
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes cut at the image's edge, which of them were cut, and which have a size."""
    index = [test.index_of_image_id[i] for i in predictions.image_id_of_row.tolist()]
    sizes_wh = test.sizes_wh[np.array(index, dtype=np.int64)]
    boxes = clip_boxes(predictions.boxes_xyxy, sizes_wh)
    clipped = (boxes != predictions.boxes_xyxy).any(axis=1)
    usable = ((boxes[:, 2:] - boxes[:, :2]) >= SHORTEST_SIDE_PX).all(axis=1)
    return boxes, clipped, usable


def _rank_within_image(predictions: Predictions, kept: np.ndarray) -> np.ndarray:
    """Return (N,) how many kept boxes of its image stand before each row."""
    before = np.cumsum(kept) - kept
    start = predictions.offsets[:-1][predictions.image_index_of_row]
    return before - before[start] if len(before) else before


def _new_images(
    train: CocoDataset,
    test: CocoDataset,
    test_image_ids: np.ndarray,
    reserved_image_ids: Set[int],
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    in_use = [*train.image_ids.tolist(), *test.image_ids.tolist(), *reserved_image_ids]
    first = max(in_use, default=-1) + 1
    images, id_of_test_id = [], {}
    for offset, test_id in enumerate(test_image_ids.tolist()):
        image = test.images[test.index_of_image_id[test_id]]
        images.append({**image, "id": first + offset, "test_image_id": test_id, "pseudo": True})
        id_of_test_id[test_id] = first + offset
    return images, id_of_test_id


def _new_annotations(
    train: CocoDataset,
    predictions: Predictions,
    chosen: _Choice,
    rows: np.ndarray,
    id_of_test_id: dict[int, int],
    rules: PseudoRules,
) -> list[dict[str, Any]]:
    first = max((box["id"] for box in train.annotations), default=-1) + 1
    # float64 before subtracting: xmin + width gives back the predicted xmax.
    boxes_xywh = xyxy_to_xywh(chosen.boxes_xyxy[rows].astype(np.float64))
    test_ids = predictions.image_id_of_row[rows].tolist()
    annotations = []
    for offset, (test_id, label, score, bbox) in enumerate(
        zip(
            test_ids,
            predictions.labels[rows].tolist(),
            predictions.scores[rows].tolist(),
            boxes_xywh.tolist(),
            strict=True,
        )
    ):
        annotations.append(
            {
                "id": first + offset,
                "image_id": id_of_test_id[test_id],
                "category_id": label,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": 0,
                "score": score,
                "weight": score if rules.weight == "score" else 1.0,
                "pseudo": True,
            }
        )
    return annotations


def _per_class(train: CocoDataset, labels: np.ndarray) -> dict[str, int]:
    return {
        name: int((labels == label).sum())
        for label, name in zip(
            train.category_ids.tolist(), train.distinct_category_names, strict=True
        )
    }
