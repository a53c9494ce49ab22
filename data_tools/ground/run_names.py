"""Names of runs: built, read and checked here and nowhere else.

A name states what differs from the model's recipe, each part after a hyphen:
`tood_dcn-pseudo1-mosaic0.5` is `tood_dcn` with round 1's pseudo-labels and half of its samples
mosaics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path

from data_tools.ground.errors import UserError

# A folder and its files also carry this name, and file systems end at 255 bytes.
LONGEST_NAME = 200
_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NUMBERED_PART = re.compile(r"([a-z]+)([0-9]+(?:\.[0-9]+)?)")
_TIMING = "-timing"


@dataclass(frozen=True)
class RunName:
    """What the name of a run states; values that are the recipe's own stay out of the name.

    Attributes:
        model: registry name of the detector, or the first part of a name of the user's own.
        pseudo: round of the pseudo-labels trained on; 0 for none.
        mosaic: share of samples made of four images.
        epochs: length of training; None for the recipe's, as for the three that follow.
        batch: images per step.
        lr: learning rate.
        seed: seed of the run.
        rest: parts that are none of these, in their order, at the end of the name.
    """

    model: str
    pseudo: int = 0
    mosaic: float = 0.0
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    seed: int | None = None
    rest: tuple[str, ...] = ()


_PARTS: dict[str, type[int] | type[float]] = {
    "pseudo": int,
    "mosaic": float,
    "epochs": int,
    "batch": int,
    "lr": float,
    "seed": int,
}
_LEFT_OUT = {field.name: field.default for field in fields(RunName)}


def build(name: RunName) -> str:
    """Return the text of a name; `parse` gives the same `RunName` again.

    Raises:
        UserError: a part has characters that a name may not have.
    """
    stated = (
        f"{part}{_number_text(getattr(name, part))}"
        for part in _PARTS
        if getattr(name, part) != _LEFT_OUT[part]
    )
    return checked_name("-".join((name.model, *stated, *name.rest)))


def parse(text: str) -> RunName:
    """Return what a name states. Parts that `build` would not have written are its `rest`.

    Raises:
        UserError: the text is no name, as `checked_name` says.
    """
    model, *parts = checked_name(text).split("-")
    stated: dict[str, int | float] = {}
    rest: list[str] = []
    for part in parts:
        match = _NUMBERED_PART.fullmatch(part)
        kind = match[1] if match else ""
        if match is None or kind not in _PARTS or kind in stated:
            rest.append(part)
            continue
        value = _PARTS[kind](float(match[2]))
        written = value != _LEFT_OUT[kind] and part == f"{kind}{_number_text(value)}"
        if written:
            stated[kind] = value
        else:
            rest.append(part)
    return RunName(model=model, rest=tuple(rest), **stated)  # type: ignore[arg-type]  # by _PARTS


def checked_name(text: str, *, what: str = "the name", where: str | Path | None = None) -> str:
    """Return `text` if it can name a run: letters, digits, `.`, `_`, `-`; no more is let through.

    A shell, a folder and a web page can all take such a name as it stands.

    Args:
        text: the name.
        what: what to call it in the message, `--name`.
        where: file or option that it came from.

    Raises:
        UserError: another character, a first character that is a dot or a hyphen, or a name that
            is empty or longer than 200 characters.
    """
    if len(text) > LONGEST_NAME:
        raise UserError(
            f"{what} has {len(text)} characters", where=where, expected=f"at most {LONGEST_NAME}"
        )
    if not _ALLOWED.fullmatch(text):
        raise UserError(
            f"{what} {text!a} cannot name a run",
            where=where,
            expected="letters a to z, digits, `.`, `_` and `-`, not starting with `.` or `-`",
            next_step="choose another name, such as tood_dcn-mosaic0.5",
        )
    return text


def with_seed(name: str, seed: int) -> str:
    """Return the name of one of several runs that differ in their seed only: `tood-seed42`."""
    return checked_name(f"{name}-seed{seed}")


def split_seed(name: str) -> tuple[str, int | None]:
    """Return a name without its last part `-seed42`, and that seed; None where there is none."""
    match = re.fullmatch(r"(.+)-seed(\d+)", name)
    return (match[1], int(match[2])) if match else (name, None)


def timing_name(name: str) -> str:
    """Return the name of the run of one epoch that measures the time of `name`; it is no result."""
    return checked_name(name + _TIMING)


def is_timing(name: str) -> bool:
    """Say whether this names a run that only measured its time."""
    return name.endswith(_TIMING)


def _number_text(value: float) -> str:
    # Never 1e-05, whose hyphen would be read as the start of the next part.
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
