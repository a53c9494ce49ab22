"""Names of pictures: checked where they enter, so that nothing lies outside the folder given."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from posixpath import splitext

from data_tools.ground.errors import UserError

# Characters that terminals obey and eyes do not see: controls, and those that turn the direction
# of writing. Lone surrogates cannot be written to a file at all.
_UNSEEN = {"Cc", "Cs"}
_DIRECTION = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def name_fault(name: str) -> str | None:
    """Return why a `file_name` cannot be used, None if it can.

    A name is a path below the data root with `/` between folders. Not allowed: the root itself, an
    absolute path, a drive, `..`, a backslash, characters that cannot be seen.
    """
    # Nearly all names are printable, which is known a hundred times sooner.
    if not name.isprintable() and any(map(_is_unseen, name)):
        return "holds a character that cannot be seen"
    if "\\" in name:
        return "has a backslash"
    if name.startswith("/") or name[1:2] == ":":
        return "is an absolute path"
    if ".." in name and ".." in name.split("/"):
        return "leads out of the data root"
    if not name.strip("./"):
        return "names no file"
    return None


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN or sign in _DIRECTION


def checked_name(name: str, where: str | Path | None) -> str:
    """Return a `file_name` that lies below the data root.

    Raises:
        UserError: it does not, see `name_fault`.
    """
    fault = name_fault(name)
    if fault is None:
        return name
    raise UserError(
        f"`file_name` {name!r} {fault}",
        where=where,
        expected="a path relative to the data root, folders separated by /",
        next_step="python -m data_tools convert FILE --from coco --data DATA --out NEW.json "
        "turns backslashes where the picture is there then"
        if "\\" in name
        else "correct the name",
    )


def name_forms(name: str) -> tuple[str, ...]:
    """Return a picture's name, without its folder, and without its ending too; each form once."""
    # Not pathlib: ten times as slow, for every image of a dataset.
    file = name.rpartition("/")[2]
    return tuple(dict.fromkeys((name, file, splitext(file)[0])))


def positions_by_any_name(file_names: Sequence[str]) -> dict[str, int | None]:
    """Return the position of the picture that each form of a name means; None where of several.

    A whole name goes before the short form of another picture.
    """
    found: dict[str, int | None] = {}
    for place, name in enumerate(file_names):
        for form in name_forms(name)[1:]:
            found[form] = None if form in found else place
    return {**found, **{name: place for place, name in enumerate(file_names)}}
