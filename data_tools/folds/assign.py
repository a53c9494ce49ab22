"""Assign images to folds: the original entry's scheme, and the stratification that it meant."""

from __future__ import annotations

import numpy as np

from data_tools.coco.dataset import CocoDataset

SIZE_BINS = 4
COUNT_BIN_EDGES = (1, 2, 3, 5, 9, 17)

# What each family of counts weighs when the stratified scheme compares folds. The number of
# images is held tightest: folds of unequal length make unequal training sets.
FAMILY_WEIGHTS = {"images": 8.0, "class": 1.0, "size": 0.5, "count": 0.5}


def seed_scheme_folds(dataset: CocoDataset, folds: int, seed: int) -> np.ndarray:
    """Reproduce scikit-learn 1.1.3's shuffled StratifiedGroupKFold, whatever version is installed.

    That version (groups = images, one sample per box, y = class) shuffles the rows of its table
    "boxes of each class per image" without shuffling the images along with them. The greedy
    balancing then places *some other image's* counts, so the folds are random, not stratified:
    they are kept because a published result depends on them. Images without boxes are no group
    there; they are appended by `spread_evenly`.

    Args:
        dataset: annotations to split.
        folds: number of folds.
        seed: random state; the original entry's split used 411.

    Returns:
        (I,) int64 fold of each image, in file order.

    Source: scikit-learn 1.1.3, `sklearn/model_selection/_split.py`; changed there in 1.3.
    """
    counts: np.ndarray = np.zeros((len(dataset.images), len(dataset.categories)))
    np.add.at(counts, (_image_rows(dataset), _class_rows(dataset)), 1)
    # Groups are numbered by ascending image id, classes by ascending category id, and only those
    # that have boxes exist.
    counts = counts[:, np.argsort(dataset.category_ids)]
    image_order = np.argsort(dataset.image_ids)
    with_boxes = image_order[counts[image_order].sum(axis=1) > 0]
    class_totals = counts.sum(axis=0)
    # The memory layout matters: sums along a row are rounded by it, and ties are broken by them.
    table = np.ascontiguousarray(counts[with_boxes][:, class_totals > 0])

    # NumPy keeps the stream of this old generator frozen, which makes the folds reproducible.
    np.random.RandomState(seed).shuffle(table)
    fold_of_image = np.full(len(dataset.images), -1, dtype=np.int64)
    fold_of_image[with_boxes] = _greedy_folds_1_1_3(table, folds)
    return spread_evenly(fold_of_image, image_order, folds)


def _greedy_folds_1_1_3(table: np.ndarray, folds: int) -> np.ndarray:
    """Return the fold of each row of (groups, classes) counts, as scikit-learn 1.1.3 chooses it."""
    if not table.size:
        return np.zeros(0, dtype=np.int64)
    totals = table.sum(axis=0)
    fold_counts = np.zeros((folds, table.shape[1]))
    fold_of_group = np.empty(len(table), dtype=np.int64)
    candidates = np.arange(folds)
    # A stable sort keeps the shuffled order among groups of equal spread.
    for group in np.argsort(-np.std(table, axis=1), kind="mergesort"):
        # Axis 0: the fold that would take the group; axis 1: the folds as they would then be.
        trial = np.repeat(fold_counts[None], folds, axis=0)
        trial[candidates, candidates] += table[group]
        spread = np.std(trial / totals, axis=1).mean(axis=1)
        chosen = _first_best_fold(spread.tolist(), fold_counts.sum(axis=1).tolist())
        fold_counts[chosen] += table[group]
        fold_of_group[group] = chosen
    return fold_of_group


def _first_best_fold(spread: list[float], samples: list[float]) -> int:
    """Walk the folds as scikit-learn does: a close call goes to the fold with fewer samples."""
    best, best_spread, best_samples = 0, float("inf"), float("inf")
    for fold, (value, size) in enumerate(zip(spread, samples, strict=True)):
        # numpy.isclose with its defaults: |a - b| <= 1e-8 + 1e-5 |b|; infinity is close to nothing.
        close = abs(value - best_spread) <= 1e-8 + 1e-5 * best_spread < float("inf")
        if value < best_spread or (close and size < best_samples):
            best, best_spread, best_samples = fold, value, size
    return best


def spread_evenly(fold_of_image: np.ndarray, image_order: np.ndarray, folds: int) -> np.ndarray:
    """Place the images that have no fold yet (-1), each into the fold with the fewest images.

    Args:
        fold_of_image: (I,) fold of each image or -1.
        image_order: (I,) positions in the order to place them; ascending image id in the kit.
        folds: number of folds; ties go to the lowest.

    Returns:
        (I,) int64 with every image placed.
    """
    placed = fold_of_image.copy()
    sizes = np.bincount(placed[placed >= 0], minlength=folds)
    for position in image_order[placed[image_order] < 0]:
        fold = int(np.argmin(sizes))
        placed[position] = fold
        sizes[fold] += 1
    return placed


def stratified_folds(dataset: CocoDataset, folds: int, seed: int) -> np.ndarray:
    """Assign whole images so that folds agree by class, box size and boxes per image.

    Greedy: images in order of how much they weigh (rare classes and crowded images first, ties
    in seeded random order), each into the fold whose counts it brings closest to an equal share.
    Images without boxes take part: they are one of the "boxes per image" bins.

    Returns:
        (I,) int64 fold of each image, in file order.
    """
    features = stratification_features(dataset)
    return greedy_folds(features, folds, seed)


def greedy_folds(features: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row of weighted (I, J) features; deterministic in `seed`."""
    random_rank = np.random.default_rng(seed).permutation(len(features))
    heaviness = np.square(features).sum(axis=1).round(12)
    fold_sums = np.zeros((folds, features.shape[1]))
    fold_of_image = np.empty(len(features), dtype=np.int64)
    for image in np.lexsort((random_rank, -heaviness)):
        # Adding v to a fold with sums c changes the squared distance to the common target t by
        # v . (2c - 2t + v); only the part with c depends on the fold.
        load = (fold_sums @ features[image]).round(12)
        fold = int(np.argmin(load))
        fold_sums[fold] += features[image]
        fold_of_image[image] = fold
    return fold_of_image


def stratification_features(dataset: CocoDataset) -> np.ndarray:
    """Return (I, J) counts per image, each column scaled by its family's weight and its total.

    Columns: one for the image itself, boxes per class, boxes per quartile of relative size, and
    a one-hot of the number of boxes.
    """
    images = len(dataset.images)
    rows = _image_rows(dataset)
    by_class = np.zeros((images, len(dataset.categories)))
    np.add.at(by_class, (rows, _class_rows(dataset)), 1)
    by_size = np.zeros((images, SIZE_BINS))
    np.add.at(by_size, (rows, _size_bins(dataset, rows)), 1)
    count_bin = np.digitize(by_class.sum(axis=1), COUNT_BIN_EDGES)
    by_count = np.eye(len(COUNT_BIN_EDGES) + 1)[count_bin]
    families = {
        "images": np.ones((images, 1)),
        "class": by_class,
        "size": by_size,
        "count": by_count,
    }
    return np.concatenate(
        [_scaled(counts, FAMILY_WEIGHTS[name]) for name, counts in families.items()], axis=1
    )


def _scaled(counts: np.ndarray, weight: float) -> np.ndarray:
    totals = np.maximum(counts.sum(axis=0), 1)
    return counts * np.sqrt(weight) / totals


def _size_bins(dataset: CocoDataset, rows: np.ndarray) -> np.ndarray:
    """Return the quartile, 0 to 3, of each box's size relative to its image."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    box_area = dataset.boxes_xywh[:, 2] * dataset.boxes_xywh[:, 3]
    relative = box_area / dataset.sizes_wh[rows].prod(axis=1)
    edges = np.quantile(relative, np.arange(1, SIZE_BINS) / SIZE_BINS)
    return np.searchsorted(edges, relative, side="right")


def _image_rows(dataset: CocoDataset) -> np.ndarray:
    index = dataset.index_of_image_id
    return np.array([index[i] for i in dataset.annotation_image_ids.tolist()], dtype=np.int64)


def _class_rows(dataset: CocoDataset) -> np.ndarray:
    index = {category_id: row for row, category_id in enumerate(dataset.category_ids.tolist())}
    return np.array([index[i] for i in dataset.labels.tolist()], dtype=np.int64)
