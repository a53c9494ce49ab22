"""Files written whole or not at all, and hashes of files."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

from data_tools.ground.errors import UserError
from data_tools.ground.whole.temporaries import temporary_file


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block ends well.

    The content is flushed to disk before the rename, so that after a power loss the old file or
    the new one is there, never a part. On any exception the temporary file is removed; the one of a
    killed process is removed by the next writer of the same `path`.

    Raises:
        UserError: `path` is a device or a pipe, which the rename would remove from the system.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError("the output is no ordinary file", where=path, expected="a path of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_file(path) as temporary:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    except OSError as error:
        # A refused write, unlike a refused opening, names no file.
        if error.filename is None or _is_temporary_of(path, str(error.filename)):
            error.filename = str(path)  # the name that the user knows
        raise


def open_in_place(path: str | Path, mode: Literal["w", "a"]) -> TextIO:
    """Open a text file that grows in place, such as a log, and no other file through a link.

    Raises:
        UserError: a link stands in its place: it may lead to any file of the user's.
    """

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o666)

    try:
        return open(path, mode, encoding="utf-8", opener=opened)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError(
            "a link stands in the place of a file that is written here",
            where=path,
            expected="an ordinary file, or none",
            next_step="remove the link",
        ) from None


def _is_temporary_of(path: Path, name: str) -> bool:
    return Path(name).parent == path.parent and Path(name).name.startswith(f".{path.stem}.")


def refuse_overwriting(
    outs: Iterable[str | Path | None], inputs: Iterable[str | Path | None]
) -> None:
    """Refuse an output that is one of the files read: the user's only copy would be gone.

    Args:
        outs: files to be written; None stands for one that is not.
        inputs: files that are read; None likewise.

    Raises:
        UserError: the first output that is an input, however its path is spelled.
    """
    read = {Path(path).resolve() for path in inputs if path}
    for out in outs:
        if out and Path(out).resolve() in read:
            raise UserError(
                "the output would replace a file that is read",
                where=out,
                expected="a file of its own",
                next_step="choose another name for the output",
            )


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(
    path: str | Path, value: Any, *, indent: int | None = 2, source: Path | None = None
) -> None:
    """Write `value` as JSON, whole or not at all, gzipped if the name ends in `.gz`.

    Args:
        path: the file.
        value: lists, mappings, texts and numbers.
        indent: spaces per level; None writes one line.
        source: the file that the value was read from, for the message.

    Raises:
        UserError: a number is NaN or infinite, which JSON has no word for; a COCO file of another
            tool may hold one in a key that the kit passes on.
    """
    try:
        text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False) + "\n"
    except ValueError:
        raise UserError(
            f"`{_key_of_no_number(value)}` is not a finite number",
            where=source or path,
            expected="finite numbers, which are all that JSON can hold",
            next_step="correct that key",
        ) from None
    if Path(path).suffix != ".gz":
        write_text(path, text)
        return
    with whole_file(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), 6, mtime=0))


def _key_of_no_number(value: Any, name: str = "") -> str:
    """Return the dotted key of the first number that is not finite; empty where there is none."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else name
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        children = ((f"{name}.{key}" if name else str(key), one) for key, one in value.items())
    elif isinstance(value, list | tuple):
        children = ((f"{name}[{place}]", one) for place, one in enumerate(value))
    return next((found for key, one in children if (found := _key_of_no_number(one, key))), "")


def sha256_of_file(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
