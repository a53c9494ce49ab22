"""Temporary files and folders that are locked while their writer lives, and removal of the others.

A process that is killed leaves its temporaries behind. Each holds a lock of its own (`flock`),
which the system frees however the process ended: what can be locked has no writer any more. Numbers
of processes would not tell: they are used again, and containers share folders.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"\.(?P<stem>.+)[.-][0-9a-f]{8}\.tmp(?P<suffix>\.[^.]+)?")
_ATTEMPTS = 100


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield a new, locked file beside `path`, under a temporary name with the same suffix.

    What dead writers of the same `path` left is removed first. The block may rename the file; if it
    is still there in the end, it is removed.
    """
    _remove_dead(path.parent, stem=path.stem, suffix=path.suffix)
    while True:
        # The real suffix stays last: writers such as pandas and OpenCV choose the format by it.
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        if _is_locked(descriptor, temporary):
            break
        os.close(descriptor)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new, locked folder inside `folder`; it is removed in the end with what it holds.

    `folder` is made if it is not there. What dead writers left in it under such a name is removed
    first.
    """
    temporary, descriptor = _locked_folder(folder)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def _locked_folder(folder: Path) -> tuple[Path, int]:
    """Return a new folder inside `folder` and the descriptor that locks it.

    Until it is locked, another process may take it for a dead one's and remove it, or remove the
    empty `folder` that it has made itself: then it is made again.
    """
    for attempt in range(_ATTEMPTS):
        temporary = folder / f".stage-{secrets.token_hex(4)}.tmp"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_dead(folder, stem="stage")
            temporary.mkdir()
            descriptor = os.open(temporary, os.O_RDONLY)
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        if _is_locked(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)
    raise FileExistsError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))


def sweep(root: Path) -> None:
    """Remove all temporaries of dead writers in a folder and the folders inside it."""
    for folder, _, _ in os.walk(root):
        with suppress(FileNotFoundError):  # it was inside one of them
            _remove_dead(Path(folder))


def _remove_dead(folder: Path, stem: str | None = None, suffix: str | None = None) -> None:
    """Remove temporaries without a writer; those of one target if it is given."""
    with os.scandir(folder) as entries:
        found = [
            Path(entry.path)
            for entry in entries
            if (name := _NAME.fullmatch(entry.name)) is not None
            and stem in (None, name["stem"])
            and suffix in (None, name["suffix"] or "")
        ]
    for path in found:
        # Another process may remove it at the same time, or it may be another user's.
        with suppress(OSError):
            _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, path: Path) -> bool:
    """Lock what was just made; False if another process took it for a dead one's in between."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # this file system has no locks: nobody can lock it to remove it either
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
