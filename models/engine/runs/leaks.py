"""Does a training file hold pseudo-labels whose teachers saw the validation fold?"""

from __future__ import annotations

from data_tools.coco.dataset import CocoDataset
from data_tools.coco.note import note_of


def teacher_file_names(train: CocoDataset) -> tuple[str, ...]:
    """Return the images that the teachers of a file's pseudo-labels were trained on."""
    return note_of(train).teacher_file_names


def leak_reasons(train: CocoDataset, val: CocoDataset) -> tuple[str, ...]:
    """Return why a validation score of a model trained on `train` could not be trusted.

    Args:
        train: training part, with the provenance that `data_tools pseudo` writes if any.
        val: validation part of the fold.
    """
    held_out = set(val.file_names)
    reasons = []
    trained_on = held_out & set(train.file_names)
    if trained_on:
        reasons.append(f"{len(trained_on)} of its {len(held_out)} images are in the training file")
    seen_by_teachers = held_out & set(teacher_file_names(train))
    if seen_by_teachers:
        reasons.append(
            f"the teachers of the pseudo-labels were trained on {len(seen_by_teachers)} "
            f"of its {len(held_out)} images"
        )
    return (*reasons, *note_of(train).leaked)
