"""Try many seeds of a split and rank the validation folds by how test-like they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.coco.statistics import BoxMeasures, box_measures, distances, measures_of_boxes
from data_tools.folds.assign import greedy_folds, seed_scheme_folds, stratification_features
from data_tools.folds.split import check_split_request
from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import read_table
from data_tools.pictures.statistics import image_distance, is_measured, measure_images
from data_tools.predictions.files import read_predictions
from data_tools.predictions.formats.read import reading_format
from data_tools.predictions.measures import predicted_measures

RANKED_BY = ("class", "size", "count", "image")
LEDGER_SCORES = ("local_score", "leaderboard_score")


@dataclass(frozen=True)
class TargetLook:
    """What is known of the test images.

    Attributes:
        boxes: measures of their annotations, or of confident predictions on them; None if neither.
        pictures: (I, 4) image measures; None without pictures.
    """

    boxes: BoxMeasures | None
    pictures: np.ndarray | None


@dataclass(frozen=True)
class RankedFold:
    """One validation fold of one seed and its distances to the test images (None: unknown)."""

    seed: int
    fold: int
    total: float
    images: int
    distances: dict[str, float | None]


def rank_folds(
    dataset: CocoDataset,
    test_look: TargetLook,
    *,
    scheme: str,
    seeds: range,
    folds: int,
    pictures: np.ndarray | None,
) -> list[RankedFold]:
    """Return every fold of every seed, the most test-like first.

    Args:
        dataset: annotations to split.
        test_look: what is known of the test images.
        scheme: "stratified" or "seed".
        seeds: seeds to try.
        folds: folds per seed.
        pictures: (I, 4) image measures of `dataset`, or None.

    Raises:
        UserError: nothing is known of the test images, so that nothing can be compared.
    """
    if test_look.boxes is None and (test_look.pictures is None or pictures is None):
        raise UserError(
            "nothing is known of the test images to compare folds with",
            expected="annotations in --against, --predictions on them, or their pictures",
            next_step="give --predictions work/ensemble/test.parquet, or --data with the images",
        )
    features = stratification_features(dataset)
    table = _BoxTable(dataset)
    ranked = []
    for seed in seeds:
        if scheme == "stratified":
            fold_of_image = greedy_folds(features, folds, seed)
        else:
            fold_of_image = seed_scheme_folds(dataset, folds, seed)
        for fold in range(folds):
            held_out = fold_of_image == fold
            found = _distances_to_test(table, held_out, test_look, pictures)
            known = [value for value in found.values() if value is not None]
            total = float(np.mean(known)) if known else 1.0  # nothing can be compared
            ranked.append(RankedFold(seed, fold, total, int(held_out.sum()), found))
    return sorted(ranked, key=lambda entry: (entry.total, entry.seed, entry.fold))


class _BoxTable:
    """Columns of a dataset's boxes, from which any subset of images is measured quickly."""

    def __init__(self, dataset: CocoDataset) -> None:
        index = [dataset.index_of_image_id[i] for i in dataset.annotation_image_ids.tolist()]
        self.image_rows = np.array(index, dtype=np.int64)
        every = measures_of_boxes(
            dataset, self.image_rows, dataset.labels, *dataset.boxes_xywh[:, 2:].T
        )
        self.size, self.aspect, self.count = every.size, every.aspect, every.count
        self.labels = np.searchsorted(np.sort(dataset.category_ids), dataset.labels)
        order = np.argsort(dataset.category_ids)
        self.names = [dataset.distinct_category_names[k] for k in order.tolist()]

    def of_images(self, chosen: np.ndarray) -> BoxMeasures:
        """Return the measures of the images where the (I,) mask is true."""
        rows = chosen[self.image_rows]
        counts = np.bincount(self.labels[rows], minlength=len(self.names))
        shares = (counts / max(counts.sum(), 1)).tolist()
        return BoxMeasures(
            class_shares=dict(zip(self.names, shares, strict=True)),
            size=self.size[rows],
            aspect=self.aspect[rows],
            count=self.count[chosen],
        )


def _distances_to_test(
    table: _BoxTable, held_out: np.ndarray, test_look: TargetLook, pictures: np.ndarray | None
) -> dict[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys(RANKED_BY)
    if test_look.boxes is not None:
        found |= distances(table.of_images(held_out), test_look.boxes)
        found.pop("aspect")
    if test_look.pictures is not None and pictures is not None:
        found["image"] = image_distance(pictures[held_out], test_look.pictures)
    return found


def ledger_gaps(path: Path) -> dict[str, dict[str, Any]]:
    """Return how far local scores of submissions were from the leaderboard, per validation fold.

    Args:
        path: the submission ledger. Rows without local or leaderboard score, and rows whose local
            score is marked as leaked, are passed over.

    Returns:
        Fold (or the members fused, where the ledger names no fold) -> `submissions` and `mean_gap`
        (mean of |local - leaderboard|). Empty without a file.

    Raises:
        UserError: the file is no ledger, or a score is no number.
    """
    if not path.is_file():
        return {}
    table = read_table(path)
    missing = [key for key in LEDGER_SCORES if key not in table.columns]
    if missing:
        raise UserError(
            f"the ledger has no column {missing[0]!r}",
            where=path,
            expected="what `python -m submit log` writes, with commas",
        )
    gaps: dict[str, list[float]] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        scores = [row[key] for key in LEDGER_SCORES]
        if all(scores) and not row.get("leaked"):
            name = f"fold {row['fold']}" if row.get("fold") else row.get("members") or "any kind"
            gaps.setdefault(name, []).append(_gap(scores, f"{path}, line {line}"))
    return {
        name: {"submissions": len(found), "mean_gap": float(np.mean(found))}
        for name, found in sorted(gaps.items())
    }


def _gap(scores: list[str], where: str) -> float:
    try:
        return abs(float(scores[0]) - float(scores[1]))
    except ValueError:
        raise UserError(
            f"the local and leaderboard scores are {scores}", where=where, expected="two numbers"
        ) from None


@dataclass(frozen=True)
class SearchRequest:
    """One call of `data_tools split --search`.

    Attributes:
        coco: annotations to split.
        folds: folds per seed.
        seeds: seeds to try.
        scheme: "stratified" or "seed".
        against: COCO file of the test images, with or without annotations.
        predictions: boxes predicted on them, used when there are no annotations.
        threshold: lowest score of a predicted box to count.
        image_root: data root with the pictures of both; None leaves pictures out.
        ledger: submission ledger.
    """

    coco: Path
    folds: int
    seeds: range
    scheme: str
    against: Path | None
    predictions: Path | None
    threshold: float
    image_root: Path | None
    ledger: Path | None
    format_name: str | None = None
    format_file: Path | None = None


@dataclass(frozen=True)
class SearchResult:
    """Folds of all seeds, the most test-like first, and the ledger's record of folds.

    Attributes:
        broken_pictures: how many pictures do not decode and were left out.
    """

    ranked: list[RankedFold]
    ledger: dict[str, dict[str, Any]]
    broken_pictures: int = 0


def search_seeds(request: SearchRequest) -> SearchResult:
    """Rank the folds of many seeds by their distance to the test images.

    Raises:
        UserError: no seeds, an unknown scheme, no test images, or nothing known of them.
    """
    if not len(request.seeds):
        raise UserError(f"--search is {len(request.seeds)}", expected="1 or more seeds to try")
    if request.against is None:
        raise UserError("--search has nothing to compare with", expected="--against data/test.json")
    dataset, test = read_coco(request.coco), read_coco(request.against)
    check_split_request(dataset, request.folds, request.scheme)
    pictures = target_pictures = None
    broken = 0
    if request.image_root is not None:
        pictures = measure_images(request.image_root, dataset.file_names)
        target_pictures = measure_images(request.image_root, test.file_names)
        broken = sum(int((~is_measured(each)).sum()) for each in (pictures, target_pictures))
    target = TargetLook(_target_boxes(request, test), target_pictures)
    ranked = rank_folds(
        dataset,
        target,
        scheme=request.scheme,
        seeds=request.seeds,
        folds=request.folds,
        pictures=pictures,
    )
    return SearchResult(ranked, ledger_gaps(request.ledger) if request.ledger else {}, broken)


def _target_boxes(request: SearchRequest, test: CocoDataset) -> BoxMeasures | None:
    if test.annotations:
        return box_measures(test)
    if request.predictions is None:
        return None
    chosen = reading_format(request.format_name, request.format_file, [request.predictions])
    predictions = read_predictions(request.predictions, test, chosen)
    return predicted_measures(predictions, test, request.threshold)
