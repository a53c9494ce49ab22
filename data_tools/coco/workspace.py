"""Keep one work folder to one dataset: results of two datasets must never meet in a fusion."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from data_tools.ground.declared.checking import OPEN, read_declared
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file, write_json
from data_tools.ground.paths import DataPaths, WorkPaths


@dataclass(frozen=True)
class Claim:
    """Outcome of claiming a work folder: `status` is new, same, or moved (to `moved_to`)."""

    status: str
    moved_to: Path | None = None


@dataclass(frozen=True)
class RecordedClaim:
    """Which dataset a work folder belongs to, as `dataset.json` records it.

    Attributes:
        data: data root, as it was given.
        sha256: name of each annotation file -> its hash.
        is_sample: the dataset is the built-in sample.
    """

    __pydantic_config__ = OPEN

    data: str
    sha256: dict[str, str]
    is_sample: bool


def claim_work_folder(data: DataPaths, work: WorkPaths) -> Claim:
    """Record that `work` belongs to `data`, by the contents of its annotation files.

    A folder that belongs to the built-in sample gives way: it is moved to `<work>-sample`, because
    trying the kit before the data arrives is the normal first step. Any other is left alone.

    A dataset whose `test.json` comes later, or is not at hand, is still the same dataset.

    Raises:
        UserError: the folder holds work of another dataset or does not say of which, or the
            dataset has no `train.json`.
    """
    hashes = _annotation_hashes(data)
    # A link that leads nowhere is a claim that cannot be read, not one that was never made.
    if not os.path.lexists(work.dataset_json):
        _write_claim(data, work, hashes)
        return Claim("new")
    recorded = _recorded_claim(work.dataset_json)
    known = recorded.sha256
    if all(known.get(name, digest) == digest for name, digest in hashes.items()):
        if not hashes.keys() <= known.keys():
            write_json(work.dataset_json, {**asdict(recorded), "sha256": {**known, **hashes}})
        return Claim("same")
    if not recorded.is_sample:
        raise UserError(
            f"the folder holds work of another dataset ({recorded.data})",
            where=work.root,
            expected=f"work of {data.root}, whose train.json or test.json differs",
            next_step=f"give another folder, WORK={work.root}2, or move this one away",
        )
    moved_to = _free_name(work.root.with_name(f"{work.root.name}-sample"))
    work.root.rename(moved_to)
    _write_claim(data, work, hashes)
    return Claim("moved", moved_to)


def data_root_of(work: WorkPaths) -> Path:
    """Return the data root that a work folder belongs to; `data` where it does not say."""
    if work.dataset_json.is_file():
        return Path(_recorded_claim(work.dataset_json).data)
    return Path("data")


def data_root_near(path: Path) -> Path:
    """Return the data root of the work folder that `path` lies in; `data` if it lies in none."""
    for folder in path.parents:
        if WorkPaths(folder).dataset_json.is_file():
            return data_root_of(WorkPaths(folder))
    return Path("data")


def _recorded_claim(path: Path) -> RecordedClaim:
    return read_declared(
        path,
        RecordedClaim,
        what="the claim of the work folder",
        next_step="remove it if the folder holds work of this dataset, else give another WORK",
    )


def _annotation_hashes(data: DataPaths) -> dict[str, str]:
    if not data.train_json.is_file():
        raise UserError(
            f"the dataset has no {data.train_json.name}",
            where=data.root,
            expected="train.json and the images; test.json as well for a submission",
            next_step="put them there, or give another folder: make DATA=...",
        )
    return {path.name: sha256_of_file(path) for path in data.annotations()}


def _write_claim(data: DataPaths, work: WorkPaths, hashes: dict[str, str]) -> None:
    claim = RecordedClaim(str(data.root), hashes, data.sample_marker.exists())
    write_json(work.dataset_json, asdict(claim))


def _free_name(path: Path) -> Path:
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}{number}")
        number += 1
    return candidate
