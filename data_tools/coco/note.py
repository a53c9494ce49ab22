"""The note of the kit in a COCO file, `info.boxcamp`: its fold, whose pseudo-labels it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.declared.checking import OPEN, checked

NOTE_KEY = "boxcamp"


@dataclass(frozen=True)
class FoldNote:
    """What the kit relies on; the note says more, for people to read.

    Attributes:
        round: round of the pseudo-labels; None where there are none.
        teacher_file_names: images that the teachers of the pseudo-labels were trained on.
        leaked: reasons why scores of what learns from this file cannot be trusted.
        chain: notes of the rounds before.
    """

    __pydantic_config__ = OPEN

    round: int | None = None
    teacher_file_names: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    chain: tuple[dict[str, Any], ...] = ()


def note_of(dataset: CocoDataset) -> FoldNote:
    """Return the note of a file; an empty one where it has none.

    Raises:
        UserError: the note has a value of another kind; the message names the key.
    """
    return checked(
        whole_note_of(dataset),
        FoldNote,
        where=dataset.source,
        key=f"info.{NOTE_KEY}",
        next_step="write it again with `python -m data_tools split` or `pseudo`",
    )


def whole_note_of(dataset: CocoDataset) -> Any:
    """Return everything that the note says, unchecked; an empty object where there is none."""
    note = dataset.info.get(NOTE_KEY)
    return {} if note is None else note
