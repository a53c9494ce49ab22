"""The files that a run trains on and is scored with, checked before anything else happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import DataPaths, WorkPaths


@dataclass(frozen=True)
class TrainingData:
    """The checked datasets of one run."""

    train: CocoDataset
    val: CocoDataset
    train_path: Path
    val_path: Path
    image_root: Path


def read_training_data(
    data_root: Path, work: WorkPaths, fold: int, pseudo: Path | None = None
) -> TrainingData:
    """Read and check the fold's files and that the images are there.

    Args:
        data_root: folder that the images' file names are relative to.
        work: where the folds are.
        fold: the fold held out.
        pseudo: training part with pseudo-labels, in place of the fold's own.

    Raises:
        UserError: no folds yet, no such fold, other categories, images missing.
    """
    train_path = pseudo or work.train_json(fold)
    val_path = work.val_json(fold)
    for path in (val_path, work.train_json(fold)):
        _require_fold_file(path, data_root, work, fold)
    data = TrainingData(read_coco(train_path), read_coco(val_path), train_path, val_path, data_root)
    if data.train.categories != data.val.categories:
        raise UserError(
            "training and validation part have different categories",
            where=f"{train_path} and {val_path}",
            expected="two parts of one dataset",
        )
    for coco, purpose in ((data.train, "train on"), (data.val, "score with")):
        if not coco.annotations:
            raise UserError(f"there is no box to {purpose}", where=coco.source)
        if coco.iscrowd.all():
            raise UserError(
                f"there is no box to {purpose}: all {len(coco.annotations)} are crowds",
                where=coco.source,
                expected="boxes with `iscrowd` 0",
                next_step="export boxes instead of masks, or set `iscrowd` to 0",
            )
    require_images(data.train, data_root)
    require_images(data.val, data_root)
    return data


def _require_fold_file(path: Path, data_root: Path, work: WorkPaths, fold: int) -> None:
    if path.is_file():
        return
    folds = work.drawn_folds()
    if folds:
        raise UserError(
            f"there is no fold {fold}",
            where=work.folds,
            expected=f"one of {', '.join(folds)}",
            next_step=f"give --fold {folds[0]}, or draw other folds",
        )
    train_json = DataPaths(data_root).train_json
    raise UserError(
        "the folds are not drawn yet",
        where=path,
        next_step=f"make split, or python -m data_tools split --coco {train_json} "
        f"--out {work.folds}",
    )


def require_images(coco: CocoDataset, image_root: Path) -> None:
    """Check that every image file is there.

    Raises:
        UserError: some are not; the message counts them and names the first.
    """
    missing = [name for name in coco.file_names if not (image_root / name).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(coco.images)} image files are missing, "
            f"the first is {missing[0]}",
            where=image_root,
            expected=f"the images that {coco.source} lists",
            next_step="put the images there, or give the right folder with --data",
        )
