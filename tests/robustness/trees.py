"""What is in a folder: snapshots, differences, leftover files, and putting things back."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

# Names that writers give to what is not whole yet.
LEFTOVER = re.compile(r"^\..*\.tmp(\.|$)|^\.(stage|next|best)[.-]|\.tmp\.[^.]+$|~$")


class Entry(NamedTuple):
    """One name in a folder: enough to see that it was touched."""

    kind: int
    size: int
    changed_ns: int
    inode: int


Snapshot = dict[str, Entry]


class Contents(NamedTuple):
    """What is in a folder, with the bytes of every file by name."""

    entries: Snapshot
    files: dict[str, bytes]


def snapshot(root: Path, unentered: Collection[str] = ()) -> Snapshot:
    """Return every name below `root`, relative to it, with what says whether it changed.

    Folders whose names are in `unentered` are listed without what is in them.
    """
    found: Snapshot = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                facts = entry.stat(follow_symlinks=False)
                kind = stat.S_IFMT(facts.st_mode)
                is_folder = kind == stat.S_IFDIR
                # A folder's size and time follow from its entries.
                found[name] = (
                    Entry(kind, 0, 0, facts.st_ino)
                    if is_folder
                    else Entry(kind, facts.st_size, facts.st_mtime_ns, facts.st_ino)
                )
                if is_folder and name not in unentered:
                    pending.append(name)
    return found


def changed_names(before: Snapshot, after: Snapshot) -> list[str]:
    """Return names that are new, gone or different, sorted."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def leftovers(names: list[str]) -> list[str]:
    """Return the names that look like a writer's temporary files."""
    return [name for name in names if any(map(LEFTOVER.search, name.split("/")))]


def put_back(original: Path, copy: Path, expected: Snapshot) -> None:
    """Make `copy` equal to `original` again, given its snapshot when it last was.

    The snapshot is updated in place for what had to be written again.
    """
    now = snapshot(copy)
    for name in sorted(now.keys() - expected.keys(), reverse=True):
        remove(copy / name)
    for name in sorted(expected):
        if now.get(name) != expected[name]:
            remove(copy / name)
            copy_one(original / name, copy / name)
    if changed_names(expected, now):
        expected.clear()
        expected.update(snapshot(copy))


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing there is fine."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        path.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)


def copy_one(source: Path, target: Path) -> None:
    """Copy a file, a link as a link, or a whole folder."""
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)


def contents(root: Path, known: Contents | None = None) -> Contents:
    """Return every file below `root`; what is as it was when `known` was read is not read again."""
    entries, files = snapshot(root), {}
    for name, entry in sorted(entries.items()):
        if known is not None and known.entries.get(name) == entry and name in known.files:
            files[name] = known.files[name]
        elif entry.kind == stat.S_IFREG or (entry.kind == stat.S_IFLNK and (root / name).is_file()):
            files[name] = (root / name).read_bytes()
    return Contents(entries, files)
