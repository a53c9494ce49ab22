"""Sets of files that belong together, written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX, _SUFFIX = ".stage-", ".tmp"


@contextmanager
def staged_files(
    folder: Path, *, marker: str | None = None, obsolete: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`; move its files to `folder` if the block ends well.

    The file that vouches for the others leaves first and comes last: killed in between, `folder`
    has no marker, and `is_unfinished` says why. What an earlier call left that was killed is
    removed.

    On any exception the temporary folder is removed and `folder` is as it was; a folder that had
    to be created for it is removed again.

    Args:
        folder: where the files go.
        marker: name of the file among them that vouches for the others.
        obsolete: files of the set before that have no place in the new one.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}"
    stage.mkdir()
    with _held(stage):
        try:
            _sweep(folder, but=stage)
            yield stage
            _move(stage, folder, marker, obsolete)
            shutil.rmtree(stage)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            for parent in missing:
                _remove_if_empty(parent)
            raise


def is_unfinished(folder: Path) -> bool:
    """Say whether a set of files is being written here, or its writer was killed."""
    return any(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def _move(stage: Path, folder: Path, marker: str | None, obsolete: Iterable[Path]) -> None:
    staged = sorted(path for path in stage.rglob("*") if path.is_file())
    if marker is not None:
        (folder / marker).unlink(missing_ok=True)
        staged.sort(key=lambda path: path == stage / marker)
    for path in obsolete:
        path.unlink(missing_ok=True)
    for path in staged:
        target = folder / path.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


@contextmanager
def _held(stage: Path) -> Iterator[None]:
    """Hold a lock on the folder: the system frees it however the process ends."""
    descriptor = os.open(stage, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: Path, *, but: Path) -> None:
    """Remove the temporary folders of writers that live no more."""
    for left_over in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        if left_over == but:
            continue
        descriptor = os.open(left_over, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left_over)
        except BlockingIOError:
            continue  # somebody is writing there
        finally:
            os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
