"""The commands without their parsing: files in, files and a result to print out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.coco.workspace import data_root_near
from data_tools.ground.errors import UserError
from data_tools.ground.files import refuse_overwriting
from data_tools.ground.options.notes import assume
from data_tools.ground.options.output import Result
from data_tools.ground.paths import sources_path
from data_tools.ground.progress import progress_bar
from data_tools.predictions.files import read_predictions, require_parquet_name, write_predictions
from data_tools.predictions.formats.read import refuse_unused_format
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.table import Predictions
from ensemble.audit import audit
from ensemble.explain import explain_image, find_image
from ensemble.fuse import Fusion, fuse_members, leaking_members
from ensemble.members import Member, mistake_notes, read_members
from ensemble.picture import check_picture_path, write_picture
from ensemble.settings import FusionRequest, FusionSettings, write_settings
from ensemble.sources import fused_sources, write_sources
from ensemble.text import (
    audit_as_dict,
    audit_lines,
    explanation_table,
    fuse_as_dict,
    fuse_lines,
    rounded,
    tune_lines,
)
from ensemble.tune import tune


def run_fuse(
    patterns: Sequence[str],
    images: str,
    out: str,
    request: FusionRequest,
    *,
    allow_missing: bool = False,
    submission_format: SubmissionFormat | None = None,
    sources: bool = True,
    explain: str | None = None,
    picture: str | None = None,
    data: str | None = None,
    threads: int | None = None,
) -> Result:
    """Fuse, write the result and where it came from; say what happened."""
    require_parquet_name(out)
    dataset = read_coco(images)
    settings = with_class_ious(request, dataset)
    data = data or str(data_root_near(Path(out)))
    image_id = find_image(dataset, explain) if explain else None
    if picture and image_id is not None:
        check_picture_path(picture)
        image = dataset.images[dataset.index_of_image_id[image_id]]
        refuse_overwriting([picture], [Path(data) / image["file_name"]])
    members = _read_members(patterns, dataset, allow_missing, submission_format)
    names = [member.name for member in members]
    refuse_overwriting([out, sources_path(out)], [images, *names])
    notes = check_members_of_weights(request, members)
    with progress_bar("fusing", len(dataset.images)) as progress:
        fusion = fuse_members(
            members,
            dataset,
            settings,
            run=Path(out).stem,
            threads=threads,
            progress=progress,
        )
    explanation = None
    if image_id is not None:
        explanation = explain_image(fusion, dataset, names, settings, image_id)
    if picture and explanation:
        write_picture(picture, explanation, dataset, data)
    files = _write_fusion(out, fusion, names, settings, sources)
    files += [picture] if picture else []
    leaked = leaking_members(members, dataset)
    lines = fuse_lines(fusion, members, leaked, files, notes)

    def show() -> None:
        if explanation is not None:
            # Redirected to a file, a table must not be folded to eighty columns.
            console = Console(width=None if sys.stdout.isatty() else 160)
            console.print(explanation_table(explanation, dataset, settings))
        click.echo("\n".join(lines))

    value = {
        **fuse_as_dict(fusion, members, leaked),
        "written": files,
        "notes": notes,
        "explanation": explanation,
    }
    return Result(value, text=show, files=tuple([*names, *files]))


def _read_members(
    patterns: Sequence[str],
    dataset: CocoDataset,
    allow_missing: bool,
    submission_format: SubmissionFormat | None,
    further_files: Sequence[str] = (),
) -> list[Member]:
    """Read the members and say what is wrong with them, where there is truth with its cost."""
    with _saying_cost(dataset):
        members = read_members(
            patterns, dataset, allow_missing=allow_missing, submission_format=submission_format
        )
    refuse_unused_format(submission_format, [*(member.name for member in members), *further_files])
    for member in members:
        _say_mistakes(member.name, member.predictions, dataset)
    return members


def _saying_cost(dataset: CocoDataset) -> AbstractContextManager[None]:
    """Say what boxes that are refused as misread cost, where there is truth."""
    if not dataset.annotations:
        return nullcontext()
    from scoring.mistake_costs import cost_of_misreading

    return cost_of_misreading(dataset)


def _say_mistakes(name: str, predictions: Predictions, dataset: CocoDataset) -> None:
    for note in mistake_notes(predictions, dataset):
        assume(f"{name}: {note}")


def _write_fusion(
    out: str, fusion: Fusion, names: Sequence[str], settings: FusionSettings, sources: bool
) -> list[str | Path]:
    """Write the result, then where its boxes came from; killed in between, readers notice."""
    beside = sources_path(out)
    write_predictions(out, fusion.predictions)
    if sources:
        write_sources(
            beside, fused_sources(fusion, settings), names, settings, predictions=Path(out)
        )
    else:
        beside.unlink(missing_ok=True)  # an earlier fusion's would speak of other boxes
    return [out, beside] if sources else [out]


def run_tune(
    patterns: Sequence[str],
    truth_file: str,
    out: str,
    request: FusionRequest,
    *,
    trials: int,
    seed: int,
    allow_missing: bool = False,
    submission_format: SubmissionFormat | None = None,
    allow_leak: bool = False,
) -> Result:
    """Tune and write the settings; say what they gain."""
    truth = read_coco(truth_file)
    settings = with_class_ious(request, truth)
    members = _read_members(patterns, truth, allow_missing, submission_format)
    refuse_overwriting([out], [truth_file, *(member.name for member in members)])
    notes = check_members_of_weights(request, members)
    with progress_bar("tuning", 3 * trials) as progress:
        tuned = tune(
            members,
            truth,
            settings,
            trials=trials,
            seed=seed,
            allow_leak=allow_leak,
            progress=progress,
        )
    write_settings(
        out,
        tuned.settings,
        members=[run_name(member) for member in members],
        truth=truth.fingerprint,
        baseline=rounded(tuned.baseline),
        score=rounded(tuned.score),
        held_out_gain=rounded(tuned.held_out_gain),
        trials=trials,
        seed=tuned.seed,
        leaked=tuned.leaked,
    )
    return Result(
        {"out": out, **asdict(tuned), "notes": notes},
        "\n".join([*notes, *tune_lines(tuned, out)]),
        files=tuple(member.name for member in members),
    )


def run_audit(
    old_files: Sequence[str],
    patterns: Sequence[str],
    request: FusionRequest,
    *,
    images: str | None = None,
    truth: str | None = None,
    allow_missing: bool = False,
    submission_format: SubmissionFormat | None = None,
) -> Result:
    """Replay the mistake, score it when there is truth; say what it changes."""
    dataset = read_coco(truth or images or "")
    settings = with_class_ious(request, dataset)
    members = _read_members(patterns, dataset, allow_missing, submission_format, old_files)
    names = [member.name for member in members]
    notes = check_members_of_weights(request, members)
    with _saying_cost(dataset):
        old = [(name, read_predictions(name, dataset, submission_format)) for name in old_files]
    for name, predictions in old:
        _say_mistakes(name, predictions, dataset)
    found = audit(members, dataset, settings, old)
    scores = None
    if truth:
        from scoring.score import score

        scores = score(found.correct, dataset), score(found.mistaken, dataset)
    leaked = leaking_members(members, dataset)
    return Result(
        {**audit_as_dict(found, scores), "leaked": leaked, "notes": notes},
        "\n".join([*notes, *audit_lines(found, scores, leaked)]),
        files=tuple(names),
    )


def with_class_ious(request: FusionRequest, dataset: CocoDataset) -> FusionSettings:
    """Return the settings with thresholds for classes that are given by name or id."""
    ids: list[int] = dataset.category_ids.tolist()
    # A name goes before the number of another class, should a class be called by a number.
    id_of = {str(category_id): category_id for category_id in ids}
    id_of |= dict(zip(dataset.category_names, ids, strict=True))
    thresholds = dict(request.settings.iou_of_class)
    for name, iou in request.iou_of_class_name.items():
        if name not in id_of:
            raise UserError(
                f"no class {name!r}",
                where=dataset.source,
                expected=", ".join(dataset.category_names),
            )
        thresholds[id_of[name]] = iou
    return replace(request.settings, iou_of_class=thresholds)


def check_members_of_weights(request: FusionRequest, members: Sequence[Member]) -> list[str]:
    """Refuse tuned weights for the same members in another order; return a line for others."""
    names, tuned_for = tuple(run_name(member) for member in members), request.weights_are_of
    if request.settings.weights is None or not tuned_for or names == tuned_for:
        return []
    if sorted(names) == sorted(tuned_for):
        raise UserError(
            "the weights were tuned for these members in another order",
            where=f"the members are {', '.join(names)}",
            expected=f"the order {', '.join(tuned_for)}",
            next_step="give the members in that order",
        )
    return [f"note: the weights were tuned for {', '.join(tuned_for)}, not {', '.join(names)}"]


def run_name(member: Member) -> str:
    """Return a name that is the same for a run's val and test predictions."""
    provenance = member.predictions.provenance
    if provenance.run is None:
        return Path(member.name).name
    return provenance.run if provenance.fold is None else f"{provenance.run}/fold{provenance.fold}"
