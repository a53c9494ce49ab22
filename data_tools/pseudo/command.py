"""`data_tools pseudo`: read, check for leaks and duplicates, build, and write one or more folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
from data_tools.coco.note import NOTE_KEY, note_of, whole_note_of
from data_tools.ground.errors import UserError
from data_tools.ground.files import refuse_overwriting, sha256_of_file
from data_tools.ground.whole.staging import staged_files
from data_tools.pictures.facts import ImageFacts
from data_tools.predictions.files import read_predictions
from data_tools.predictions.formats.read import reading_format
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.table import Predictions
from data_tools.pseudo.build import PseudoCounts, build_pseudo_set
from data_tools.pseudo.duplicates import DuplicateReport, find_test_duplicates
from data_tools.pseudo.request import PseudoRequest
from data_tools.pseudo.teachers import (
    chain_of_rounds,
    leak_reasons,
    refuse_leaks,
    teachers_as_list,
    validation_file_names,
)
from data_tools.pseudo.thresholds import (
    Thresholds,
    density_thresholds,
    given_thresholds,
    precision_thresholds,
)

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class PseudoResult:
    """A pseudo-label set that is ready to be written, and what there is to say about it."""

    request: PseudoRequest
    dataset: CocoDataset
    counts: PseudoCounts
    thresholds: dict[str, float | None]
    choice: str
    duplicates: DuplicateReport
    leaked: tuple[str, ...]


def make_pseudo_sets(
    requests: Sequence[PseudoRequest], tick: Callable[[int], None] = lambda total: None
) -> list[PseudoResult]:
    """Build every set, then write them: a fold that is refused leaves no other one written."""
    refuse_overwriting(
        [request.out for request in requests],
        [path for request in requests for path in request.inputs],
    )
    known: dict[Path, ImageFacts] = {}
    results = [make_pseudo_set(request, known, tick) for request in requests]
    folders: dict[Path, list[PseudoResult]] = {}
    for result in results:
        folders.setdefault(result.request.out.parent, []).append(result)
    for folder, together in folders.items():
        _write_together(folder, together)
    return results


def _write_together(folder: Path, results: Sequence[PseudoResult]) -> None:
    """Write the sets of one folder: killed in between, none of them is taken for one of the others.

    A single file needs no stage: it is written whole as it is.
    """
    if len(results) == 1:
        write_coco(results[0].request.out, results[0].dataset)
        return
    with staged_files(folder) as stage:
        for result in results:
            write_coco(stage / result.request.out.name, result.dataset)


def make_pseudo_set(
    request: PseudoRequest,
    known: dict[Path, ImageFacts],
    tick: Callable[[int], None] = lambda total: None,
) -> PseudoResult:
    """Check one request and build its set without writing it.

    Args:
        request: what to do.
        known: facts of pictures that were read for another fold; what is read is added.
        tick: called after each picture that is read, with the number to read.

    Raises:
        UserError: unreadable input, predictions of another dataset, a leak without `allow_leak`, or
            no box that reaches its threshold.
    """
    train, test = read_coco(request.train), read_coco(request.test)
    _check_inputs(request, train, test)
    predictions = read_predictions(request.predictions, test, _reading_format(request))
    _refuse_empty(predictions, request)
    validation = validation_file_names(train, request.train, request.val)
    leaked = leak_reasons(predictions.provenance, validation)
    if not request.allow_leak:
        refuse_leaks(leaked, request.predictions)
    thresholds = _thresholds(request, train, predictions)
    chain = chain_of_rounds(
        predictions.provenance, request.round_number, request.out, request.previous
    )
    duplicates = find_test_duplicates(
        request.image_root or request.test.parent,
        test.file_names,
        [*train.file_names, *sorted(validation)],
        enabled=request.check_duplicates,
        known=known,
        tick=tick,
    )
    dataset, counts = build_pseudo_set(
        train,
        test,
        predictions,
        thresholds,
        request.rules,
        repeated=duplicates.test_file_names,
        broken=duplicates.broken_tests.keys(),
        reserved_image_ids=_image_ids_beside(request, validation),
    )
    if not counts.images:
        _refuse_nothing_kept(request, predictions, counts)
    result = PseudoResult(
        request=request,
        dataset=dataset,
        counts=counts,
        thresholds=thresholds.by_name(train),
        choice=thresholds.choice,
        duplicates=duplicates,
        leaked=leaked,
    )
    note = _note(result, train, predictions, chain)
    info = {**dataset.info, NOTE_KEY: note}
    return replace(result, dataset=replace(dataset, info=info, source=request.train))


def _reading_format(request: PseudoRequest) -> SubmissionFormat | None:
    files = [path for path in (request.predictions, request.oof) if path is not None]
    return reading_format(request.format_name, request.format_file, files)


def _check_inputs(request: PseudoRequest, train: CocoDataset, test: CocoDataset) -> None:
    if request.round_number < 1:
        raise UserError(f"--round is {request.round_number}", expected="1 or more")
    if note_of(train).round:
        raise UserError(
            "the training part already holds pseudo-labels",
            where=request.train,
            expected="the plain training part of the fold, such as work/folds/train_3.json",
        )
    if test.categories and test.categories != train.categories:
        raise UserError(
            "training and test files have different categories",
            where=request.test,
            expected=f"the categories of {request.train}",
        )


def _refuse_empty(predictions: Predictions, request: PseudoRequest) -> None:
    if not len(predictions):
        raise UserError(
            f"the prediction file has no boxes ({len(predictions.image_ids)} images)",
            where=request.predictions,
            expected="predicted boxes with scores",
            next_step="train longer, or lower the score threshold of `python -m models predict`",
        )


def _refuse_nothing_kept(
    request: PseudoRequest, predictions: Predictions, counts: PseudoCounts
) -> None:
    raise UserError(
        f"no test image is left: {counts.boxes_below_threshold} of {len(predictions)} boxes are "
        f"below the threshold, the highest score is {float(predictions.scores.max()):.3f}, "
        f"{counts.images_excluded_as_duplicates} images are duplicates, {counts.images_broken} do "
        "not decode",
        where=request.predictions,
        expected=f"at least one image with {request.rules.min_boxes} boxes",
        next_step="lower --threshold (or --target-precision), or use --match-density",
    )


def _thresholds(request: PseudoRequest, train: CocoDataset, predictions: Predictions) -> Thresholds:
    ways = [
        name
        for name, given in (
            ("--threshold", request.threshold is not None),
            ("--target-precision", request.target_precision is not None),
            ("--match-density", request.match_density),
        )
        if given
    ]
    if len(ways) > 1:
        raise UserError(f"{' and '.join(ways)} exclude each other", expected="one of them")
    if request.class_thresholds and ways not in ([], ["--threshold"]):
        raise UserError(f"--class-threshold does not go with {ways[0]}", expected="--threshold")
    if request.match_density:
        return density_thresholds(predictions, train)
    if request.target_precision is None:
        threshold = DEFAULT_THRESHOLD if request.threshold is None else request.threshold
        return given_thresholds(train, threshold, request.class_thresholds)
    if request.oof is None or request.truth is None:
        raise UserError(
            "--target-precision needs out-of-fold predictions and their truth",
            expected="--oof work/runs/.../predictions/val.parquet --truth work/folds/val_3.json",
        )
    truth = read_coco(request.truth)
    out_of_fold = read_predictions(request.oof, truth, _reading_format(request)).sorted_by_score()
    return precision_thresholds(out_of_fold, truth, request.target_precision)


def _image_ids_beside(request: PseudoRequest, validation: set[str]) -> set[int]:
    """Return the ids of the validation images where their file is at hand."""
    path = request.val
    if path is None:
        path = request.train.with_name(request.train.name.replace("train", "val", 1))
    if not validation or not path.is_file():
        return set()
    return set(read_coco(path).image_ids.tolist())


def _note(
    result: PseudoResult,
    train: CocoDataset,
    predictions: Predictions,
    chain: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the provenance block that is stored in the file's `info`."""
    request, provenance = result.request, predictions.provenance
    added = result.dataset.images[len(train.images) :]
    return {
        **whole_note_of(train),
        "round": request.round_number,
        "teachers": teachers_as_list(provenance),
        "predictions": {
            "file": str(request.predictions),
            "sha256": sha256_of_file(request.predictions),
        },
        "train_sha256": sha256_of_file(request.train),
        "test_sha256": sha256_of_file(request.test),
        "thresholds": result.thresholds,
        "threshold_choice": result.choice,
        "rules": asdict(request.rules),
        "counts": asdict(result.counts),
        "pseudo_images": result.counts.images,
        "pseudo_boxes": result.counts.boxes,
        "pseudo_file_names": [image["file_name"] for image in added],
        "duplicates": result.duplicates.as_dict(),
        "teacher_file_names": sorted(provenance.seen_file_names()),
        "leaked": list(result.leaked),
        "chain": chain,
    }
