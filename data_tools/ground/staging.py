"""Sets of files that belong together, written whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`; move its files to `folder` if the block ends well.

    On any exception the temporary folder is removed and `folder` is as it was; a folder that had
    to be created for it is removed again.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / f".stage-{secrets.token_hex(4)}.tmp"
    stage.mkdir()
    try:
        yield stage
        for staged in sorted(path for path in stage.rglob("*") if path.is_file()):
            target = folder / staged.relative_to(stage)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
        shutil.rmtree(stage)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in missing:
            _remove_if_empty(parent)
        raise


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
