"""May these predictions teach this fold? What the teachers saw, and the rounds before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.coco.note import note_of, whole_note_of
from data_tools.folds.split import read_split
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.ground.paths import WorkPaths, of_round
from data_tools.predictions.provenance import Provenance


def validation_file_names(train: CocoDataset, train_path: Path, val_path: Path | None) -> set[str]:
    """Return the images that the fold is scored on.

    Args:
        train: plain training part of the fold.
        train_path: its file; `split.json` is looked for beside it.
        val_path: validation part; None to derive it from `split.json`.

    Raises:
        UserError: neither is there, or training and validation share images.
    """
    if val_path is not None:
        names = set(read_coco(val_path).file_names)
    else:
        names = _names_of_split(train_path) - set(train.file_names)
    shared = names & set(train.file_names)
    if shared:
        raise UserError(
            f"{len(shared)} images are in the training and in the validation part",
            where=f"{train_path} and {val_path}, such as {min(shared)}",
            expected="the two parts of one fold",
        )
    return names


def _names_of_split(train_path: Path) -> set[str]:
    split_json = train_path.parent / WorkPaths(Path()).split_json.name
    if not split_json.is_file():
        raise UserError(
            "it is not known which images the fold is validated on",
            where=train_path,
            expected=f"{split_json.name} beside it",
            next_step="give --val with the validation part of the fold",
        )
    return set(read_split(split_json).fold_of_image)


def leak_reasons(teacher: Provenance, validation: set[str]) -> tuple[str, ...]:
    """Return why labels of this teacher would spoil scores on the validation images.

    Args:
        teacher: provenance of the predictions to be used as labels.
        validation: file names of the fold's validation images.
    """
    reasons = list(teacher.leak_reasons())
    seen = teacher.seen_file_names()
    offending = seen & validation
    if offending:
        reasons.append(
            f"the teacher {teacher_name(teacher)} was trained on {len(offending)} of the "
            f"{len(validation)} validation images"
        )
    if not seen:
        reasons.append(f"it is not known what the teacher {teacher_name(teacher)} was trained on")
    return tuple(reasons)


def refuse_leaks(reasons: tuple[str, ...], predictions_path: Path) -> None:
    """Raise if there is any reason.

    Raises:
        UserError: the labels would leak the validation fold.
    """
    if reasons:
        raise UserError(
            "these pseudo-labels would leak the validation fold into training: "
            + "; ".join(reasons),
            where=predictions_path,
            expected="predictions of models that were trained without the fold's validation images",
            next_step="use models of this fold, or add --allow-leak: every score made with these "
            "labels will then be marked LEAKED",
        )


def teacher_name(teacher: Provenance) -> str:
    """Return a teacher's run and fold for messages."""
    name = teacher.run or teacher.model or "(unnamed)"
    return name if teacher.fold is None else f"{name} (fold {teacher.fold})"


def teachers_as_list(teacher: Provenance) -> list[dict[str, Any]]:
    """Return run, model and fold of a teacher, or of each member if it is a fusion."""
    if not teacher.members:
        return [{"run": teacher.run, "model": teacher.model, "fold": teacher.fold}]
    return [entry for member in teacher.members for entry in teachers_as_list(member)]


def annotation_hashes(teacher: Provenance) -> set[str]:
    """Return the hashes of all annotation files that a teacher and its members learned from."""
    hashes = set(teacher.annotation_sha256.values())
    for member in teacher.members:
        hashes |= annotation_hashes(member)
    return hashes


def chain_of_rounds(
    teacher: Provenance, round_number: int, out: Path, previous: Path | None
) -> list[dict[str, Any]]:
    """Return the records of the rounds before this one, oldest first.

    Args:
        teacher: provenance of the predictions.
        round_number: 1 for the first round.
        out: file to be written; `round<k>/` beside its folder is looked through.
        previous: pseudo-label file of the round before; None to look for it.

    Raises:
        UserError: a later round whose teachers learned from no pseudo-labels of the round before.
    """
    if round_number == 1:
        return []
    path = previous or of_round(out, round_number - 1)
    if not path.is_file():
        raise UserError(
            f"the pseudo-labels of round {round_number - 1} are not there",
            where=path,
            next_step="give them with --previous, or start with --round 1",
        )
    sha256 = sha256_of_file(path)
    before = read_coco(path)
    note = note_of(before)
    if note.round != round_number - 1:
        raise UserError(
            f"the file is of round {note.round}",
            where=path,
            expected=f"pseudo-labels of round {round_number - 1}",
        )
    if sha256 not in annotation_hashes(teacher):
        raise UserError(
            f"no teacher was trained on the pseudo-labels of round {round_number - 1}",
            where=path,
            expected="predictions of the students of the round before",
            next_step=f"train with --pseudo {path} and predict the test images first",
        )
    kept = ("round", "teachers", "predictions", "thresholds", "pseudo_images", "pseudo_boxes")
    record = {"sha256": sha256, **{key: whole_note_of(before).get(key) for key in kept}}
    return [*note.chain, record]
