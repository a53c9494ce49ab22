"""Sets of files that belong together: written whole or not at all, and a half-moved set is refused.

Files can only be renamed one by one. While that goes on, a note lies in the folder: a process that
is killed in between leaves it there, and whoever reads a file of the set refuses the mixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.whole.temporaries import temporary_file, temporary_folder

INCOMPLETE = ".incomplete"
_FIRST_LINE = "These files are being replaced. If nothing is at it, write them again:\n"
_DEEPEST = 2  # folders that a file of a set lies below: `folds/`, `sample/hidden/`


@contextmanager
def staged_files(
    folder: Path, *, marker: str | None = None, obsolete: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`; move its files to `folder` if the block ends well.

    On any exception the temporary folder is removed and `folder` is as it was; a folder that had
    to be created for it is removed again. Killed while files are moved, it leaves a note that
    `refuse_incomplete` answers; writing the same set again repairs it.

    Args:
        folder: where the set goes.
        marker: name of the file that vouches for the others: an older one goes first, the new one
            comes last.
        obsolete: files of an earlier set that this one lacks; they are removed.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        with temporary_folder(folder) as stage:
            yield stage
            _move(stage, folder, marker, obsolete)
    except BaseException:
        for parent in missing:
            _remove_if_empty(parent)
        raise


def _move(stage: Path, folder: Path, marker: str | None, obsolete: Iterable[Path]) -> None:
    names = sorted(path.relative_to(stage) for path in stage.rglob("*") if path.is_file())
    note = folder / INCOMPLETE
    with temporary_file(note) as temporary:
        temporary.write_text(_FIRST_LINE + "".join(f"{name.as_posix()}\n" for name in names))
        temporary.replace(note)
    if marker is not None:
        (folder / marker).unlink(missing_ok=True)
    for left_over in obsolete:
        left_over.unlink(missing_ok=True)
    for name in sorted(names, key=lambda name: name == Path(marker or "")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (stage / name).replace(target)
    note.unlink()


def is_unfinished(folder: Path) -> bool:
    """Tell whether the files of a set were moved into this folder only in part, or just are."""
    return (folder / INCOMPLETE).is_file()


def refuse_incomplete(path: Path) -> None:
    """Raise a `UserError` if this file and others of its set may belong to two different sets."""
    for folder in path.absolute().parents[:_DEEPEST]:
        note = folder / INCOMPLETE
        if not note.is_file():
            continue
        if path.absolute().relative_to(folder).as_posix() in note.read_text().splitlines():
            raise UserError(
                "the file and those beside it may belong to two different sets: "
                "writing them was cut off",
                where=path,
                expected=f"no {INCOMPLETE} in {folder}, which lists them",
                next_step="run the command that writes them again (split, sample, convert, pseudo)",
            )


def _remove_if_empty(folder: Path) -> None:
    # Another process may fill or remove it at the same time: the system looks and removes in one.
    with suppress(OSError):
        folder.rmdir()
