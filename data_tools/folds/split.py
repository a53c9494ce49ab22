"""Write the folds of a dataset: `train_<k>.json`, `val_<k>.json` and `split.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
from data_tools.coco.note import NOTE_KEY
from data_tools.folds.assign import seed_scheme_folds, stratified_folds
from data_tools.ground.declared.checking import OPEN, read_declared
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file, write_json
from data_tools.ground.paths import WorkPaths
from data_tools.ground.version import VERSION
from data_tools.ground.whole.staging import staged_files

SCHEMES = {"seed": seed_scheme_folds, "stratified": stratified_folds}


@dataclass(frozen=True)
class Split:
    """How a dataset was split, as `split.json` records it.

    Attributes:
        scheme: "seed" or "stratified".
        seed: random seed of the scheme.
        folds: number of folds.
        source: annotation file that was split, as it was given.
        source_sha256: its hash.
        dataset: fingerprint of its images.
        fold_of_image: file name -> fold, in the order of the annotation file.
        images_without_boxes: how many images had no boxes (they are in the folds too).
        skipped_boxes: how many boxes were left out for having no area.
    """

    __pydantic_config__ = OPEN

    scheme: str
    seed: int
    folds: Annotated[int, Ge(2)]
    source: str
    source_sha256: str
    dataset: str
    fold_of_image: dict[str, Annotated[int, Ge(0)]]
    images_without_boxes: int
    skipped_boxes: int

    def file_names(self, fold: int) -> frozenset[str]:
        """Images of one validation fold."""
        return frozenset(name for name, of in self.fold_of_image.items() if of == fold)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object of `split.json`."""
        return {"kit_version": VERSION, **vars(self)}


def split_dataset(
    coco_path: Path, *, folds: int, seed: int, scheme: str
) -> tuple[Split, CocoDataset]:
    """Read a COCO file and assign each of its images to a fold.

    Raises:
        UserError: unknown scheme, fewer than two folds, or fewer images than folds.
    """
    dataset = read_coco(coco_path)
    check_split_request(dataset, folds, scheme)
    fold_of_image = SCHEMES[scheme](dataset, folds, seed)
    with_boxes = len(np.unique(dataset.annotation_image_ids))
    split = Split(
        scheme=scheme,
        seed=seed,
        folds=folds,
        source=str(coco_path),
        source_sha256=sha256_of_file(coco_path),
        dataset=dataset.fingerprint,
        fold_of_image=dict(zip(dataset.file_names, fold_of_image.tolist(), strict=True)),
        images_without_boxes=len(dataset.images) - with_boxes,
        skipped_boxes=len(dataset.skipped),
    )
    return split, dataset


def check_split_request(dataset: CocoDataset, folds: int, scheme: str) -> None:
    """Raise a `UserError` for an unknown scheme or a number of folds that cannot be."""
    if scheme not in SCHEMES:
        raise UserError(f"no scheme {scheme!r}", expected=f"one of {', '.join(SCHEMES)}")
    if not 2 <= folds <= len(dataset.images):
        raise UserError(
            f"{folds} folds of {len(dataset.images)} images",
            where=dataset.source,
            expected="at least 2 folds, and at least one image for each",
        )


def write_split(out: Path, split: Split, dataset: CocoDataset) -> None:
    """Write the two COCO files of every fold and `split.json`: all of them or none."""
    fold_of_image = np.array([split.fold_of_image[name] for name in dataset.file_names])
    names = WorkPaths(Path())
    older = list(_older_folds(out, split.folds))
    with staged_files(out, marker=names.split_json.name, obsolete=older) as stage:
        for fold in range(split.folds):
            held_out = fold_of_image == fold
            for part, mask in (("train", ~held_out), ("val", held_out)):
                name = (names.train_json if part == "train" else names.val_json)(fold).name
                subset = dataset.subset(dataset.image_ids[mask])
                write_coco(stage / name, _with_note(subset, split, fold, part))
        write_json(stage / names.split_json.name, split.as_dict())


def _older_folds(out: Path, folds: int) -> Iterator[Path]:
    """Yield the files of an earlier split with more folds: they belong to no split any more."""
    names = WorkPaths(Path())
    while (val := out / names.val_json(folds).name).is_file():
        yield val
        yield out / names.train_json(folds).name
        folds += 1


def _with_note(subset: CocoDataset, split: Split, fold: int, part: str) -> CocoDataset:
    note = {
        "fold": fold,
        "part": part,
        "scheme": split.scheme,
        "seed": split.seed,
        "source_sha256": split.source_sha256,
    }
    return replace(subset, info={**subset.info, NOTE_KEY: note})


def read_split(path: Path) -> Split:
    """Read `split.json`.

    Raises:
        UserError: the file is missing, broken, or not one that this kit wrote.
    """
    next_step = "write it again with `python -m data_tools split`"
    split = read_declared(path, Split, what=path.name, next_step=next_step)
    beyond = [name for name, fold in split.fold_of_image.items() if fold >= split.folds]
    if beyond:
        raise UserError(
            f"`fold_of_image` puts {beyond[0]!a} into fold {split.fold_of_image[beyond[0]]}",
            where=path,
            expected=f"a fold below `folds`, which is {split.folds}",
            next_step=next_step,
        )
    return split


def describe_split(split: Split, out: Path) -> str:
    """Return what was written and what was unusual about the data, for the terminal."""
    sizes = [len(split.file_names(fold)) for fold in range(split.folds)]
    lines = [
        f"{split.folds} folds of {sum(sizes)} images in {out} (scheme {split.scheme}, "
        f"seed {split.seed}): {', '.join(map(str, sizes))} validation images"
    ]
    if split.images_without_boxes:
        lines.append(f"{split.images_without_boxes} images without boxes are kept")
    if split.skipped_boxes:
        lines.append(
            f"{split.skipped_boxes} boxes without area are left out "
            "(list them with `python -m data_tools verify`)"
        )
    return "\n".join(lines)
