"""Members of a fusion: find the files, read them, see that they are about the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths, holds_sources
from data_tools.predictions.files import READABLE, read_predictions, read_predictions_and_gaps
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.mistakes import cut_text, order_text, score_cut, score_order_of
from data_tools.predictions.table import Predictions

SPLITS = ("test", "val")


@dataclass(frozen=True)
class Member:
    """One model's boxes.

    Attributes:
        name: what the user called it, used in messages and in provenance files.
        predictions: on every image of the dataset.
        missing_images: file names that the file says nothing about; they count as empty.
    """

    name: str
    predictions: Predictions
    missing_images: tuple[str, ...] = ()


def read_members(
    patterns: Sequence[str],
    dataset: CocoDataset,
    *,
    allow_missing: bool = False,
    submission_format: SubmissionFormat | None = None,
) -> list[Member]:
    """Read members from prediction Parquet, submission CSVs and COCO results, in the order given.

    Args:
        patterns: files, globs (expanded in alphabetical order), or run folders, of which the
            prediction file made for the dataset is taken.
        dataset: the images to fuse on.
        submission_format: of the CSVs; None recognises it.
        allow_missing: take members that leave images out; those count as images without boxes.

    Raises:
        UserError: nothing found, a file given twice, a file of other images, or images missing.
    """
    paths = expand_members(patterns, dataset)
    members = [_read_member(path, dataset, submission_format) for path in paths]
    short = [member for member in members if member.missing_images]
    if short and not allow_missing:
        lines = [
            f"{member.name}: {len(member.missing_images)} images, first {member.missing_images[0]}"
            for member in short
        ]
        raise UserError(
            f"{len(short)} of {len(members)} members miss images",
            where="; ".join(lines),
            expected=f"predictions for all {len(dataset.images)} images of {dataset.source}",
            next_step="predict again, or give --allow-missing to count those images as empty",
        )
    return members


def expand_members(patterns: Sequence[str], dataset: CocoDataset) -> list[Path]:
    """Return the member files in order, globs and run folders resolved."""
    paths: list[Path] = []
    for pattern in patterns:
        paths += _expand(pattern, dataset)
    if not paths:
        raise UserError("there is nothing to fuse", expected=READABLE)
    seen: dict[Path, Path] = {}
    for path in paths:
        if path.resolve() in seen:
            raise UserError(
                "a member is given twice",
                where=path,
                expected="each file once",
                next_step="use --weights to make a member count for more",
            )
        seen[path.resolve()] = path
    return paths


def _expand(pattern: str, dataset: CocoDataset) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        return [_prediction_file_of_run(path, dataset)]
    if path.exists() or not any(sign in pattern for sign in "*?["):
        return [path]
    root = Path(path.anchor)
    found = sorted(root.glob(str(path.relative_to(root))))
    files = [
        _prediction_file_of_run(match, dataset) if match.is_dir() else match for match in found
    ]
    files = [file for file in files if not holds_sources(file)]
    if not files:
        raise UserError("no file matches", where=pattern, expected=READABLE)
    return files


def _prediction_file_of_run(folder: Path, dataset: CocoDataset) -> Path:
    """Return the run's prediction file that was made for the dataset."""
    candidates = [RunPaths(folder).predictions(split) for split in SPLITS]
    present = [path for path in candidates if path.is_file()]
    if not present:
        raise UserError(
            "the folder is not a run with predictions",
            where=folder,
            expected=f"{candidates[0]} or {candidates[1]}",
            next_step=f"python -m models predict {folder} --split test",
        )
    for path in present:
        if read_predictions(path).provenance.dataset == dataset.fingerprint:
            return path
    raise UserError(
        f"none of the run's {len(present)} prediction files was made for these images",
        where=folder,
        expected=f"predictions of the images of {dataset.source}",
        next_step=f"python -m models predict {folder}, with --split for these images",
    )


def _read_member(
    path: Path, dataset: CocoDataset, submission_format: SubmissionFormat | None
) -> Member:
    if holds_sources(path):
        raise UserError(
            "the file says where fused boxes came from: it holds no predictions",
            where=path,
            expected=READABLE,
            next_step="quote a glob: then these files are left out of it",
        )
    if path.suffix == ".parquet" and path.is_file():
        return _read_parquet_member(path, dataset)
    return Member(str(path), *read_predictions_and_gaps(path, dataset, submission_format))


def _read_parquet_member(path: Path, dataset: CocoDataset) -> Member:
    predictions = read_predictions(path)
    known = np.isin(predictions.image_ids, dataset.image_ids)
    complete = len(predictions.image_ids) == len(dataset.images)
    if complete or not known.all():
        return Member(str(path), read_predictions(path, dataset))
    subset = dataset.subset(predictions.image_ids)
    if predictions.provenance.dataset not in (None, subset.fingerprint, dataset.fingerprint):
        return Member(str(path), read_predictions(path, dataset))
    present = set(subset.file_names)
    missing = tuple(name for name in dataset.file_names if name not in present)
    return Member(str(path), on_all_images(predictions, dataset.image_ids), missing)


def mistake_notes(predictions: Predictions, dataset: CocoDataset) -> list[str]:
    """Return what is wrong with a member's file, measured where the dataset has truth."""
    if dataset.annotations:
        from scoring.mistake_costs import mistake_costs

        return [cost["note"] for cost in mistake_costs(predictions, dataset)]
    order, lowest_score = score_order_of(predictions), score_cut(predictions.scores)
    notes = []
    if order is not None:
        notes.append(
            f"{order_text(order)}: no matter in a fusion, but the file by itself can lose points "
            "(`submit write` and `data_tools convert --sort-scores` order it)"
        )
    if lowest_score is not None:
        notes.append(
            f"{cut_text(lowest_score)}; what they would have found is lost to the fusion: predict "
            "with a threshold of 0.001 to 0.05"
        )
    return notes


def on_all_images(predictions: Predictions, image_ids: np.ndarray) -> Predictions:
    """Return the same boxes with more images listed; the new ones are empty."""
    image_ids = np.sort(image_ids)
    counts = np.zeros(len(image_ids), np.int64)
    counts[np.searchsorted(image_ids, predictions.image_ids)] = np.diff(predictions.offsets)
    return Predictions(
        image_ids=image_ids,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=predictions.labels,
        scores=predictions.scores,
        boxes_xyxy=predictions.boxes_xyxy,
        views=predictions.views,
        provenance=predictions.provenance,
        row_order=predictions.row_order,
    )


def on_images(predictions: Predictions, image_ids: np.ndarray) -> Predictions:
    """Return the boxes of some of the images."""
    keep = np.isin(predictions.image_ids, image_ids)
    rows = keep[predictions.image_index_of_row]
    counts = np.diff(predictions.offsets)[keep]
    return Predictions(
        image_ids=predictions.image_ids[keep],
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=predictions.labels[rows],
        scores=predictions.scores[rows],
        boxes_xyxy=predictions.boxes_xyxy[rows],
        views=predictions.views[rows],
        provenance=predictions.provenance,
        row_order=predictions.row_order,
    )
