"""COCO folds in ultralytics' layout: `images/<split>/` with links, `labels/<split>/` with text.

Its label files know no weights of boxes; those go into `weights_train.json` beside them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.files import write_json
from models.engine.data.decode import wrong_size
from models.engine.data.table import annotation_weights
from models.engine.libraries.ultralytics.library_paths import LibraryDatasetPaths


@dataclass(frozen=True)
class WrittenSplit:
    """What was written for one split.

    Attributes:
        images: image files linked.
        boxes: lines written.
        crowd: boxes left out because they stand for a crowd.
        clipped: boxes cut at the image's border, as ultralytics drops images with others.
        outside: boxes left out because nothing of them lies inside the image.
        weighted: boxes with another weight in the loss than 1.
    """

    images: int
    boxes: int
    crowd: int
    clipped: int
    outside: int
    weighted: int


def write_split(
    coco: CocoDataset, image_root: Path, files: LibraryDatasetPaths, split: str
) -> WrittenSplit:
    """Write one split, replacing what is there.

    Args:
        coco: images and boxes; images without boxes get an empty label file.
        image_root: folder that file names are relative to.
        files: where it goes. The file of weights has those of images with one other than 1, in
            the order of the label lines.
        split: "train" or "val".

    Returns:
        Counts of what was written and what was not.

    Raises:
        UserError: a `weight` of the training split is not a number from 0 to 1.
    """
    is_train = split == "train"
    weights = annotation_weights(coco) if is_train else np.ones(len(coco.annotations))
    for folder in (files.images(split), files.labels(split)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    files.labels_cache(split).unlink(missing_ok=True)
    class_of_category = {int(number): index for index, number in enumerate(coco.category_ids)}
    counts = np.zeros(4, dtype=np.int64)
    weights_of_stem: dict[str, list[float]] = {}
    for index, image in enumerate(coco.images):
        source = image_root / image["file_name"]
        stem = f"{index:07d}"  # file names of two folders may be equal; positions are not
        _link(source, files.images(split) / f"{stem}{source.suffix}")
        rows = coco.annotation_rows_of_image_id[image["id"]]
        lines, kept, changes = label_lines(
            coco, rows, (image["width"], image["height"]), class_of_category
        )
        files.labels_txt(split, stem).write_text("".join(lines), encoding="utf-8")
        counts += (len(lines), *changes)
        if (weights[kept] != 1).any():
            weights_of_stem[stem] = weights[kept].tolist()
    if is_train:
        write_json(files.box_weights_json, weights_of_stem)
    weighted = sum(weight != 1 for values in weights_of_stem.values() for weight in values)
    boxes, crowd, clipped, outside = counts.tolist()
    return WrittenSplit(len(coco.images), boxes, crowd, clipped, outside, weighted)


def check_sizes(coco: CocoDataset, image_root: Path) -> None:
    """Check that images have the size that their annotations state; boxes are relative to it.

    Files that cannot be opened are left to the library, which names them.

    Raises:
        UserError: naming the first image of another size.
    """
    from PIL import Image

    for image in coco.images:
        try:
            with Image.open(image_root / image["file_name"]) as picture:
                size = picture.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        if size != (image["width"], image["height"]):
            raise wrong_size(
                size, (image["width"], image["height"]), image_root / image["file_name"]
            )


def label_lines(
    coco: CocoDataset,
    rows: list[int],
    size_wh: tuple[int, int],
    class_of_category: dict[int, int],
) -> tuple[list[str], list[int], tuple[int, int, int]]:
    """Return an image's boxes as lines "class x_centre y_centre width height", relative to it.

    Args:
        coco: dataset.
        rows: positions of the image's boxes in it.
        size_wh: size of the image in pixels.
        class_of_category: class index of each category id.

    Returns:
        Lines, the rows that they stand for, and the numbers of crowd boxes left out, boxes clipped,
        boxes outside left out.
    """
    size = np.array([*size_wh, *size_wh], dtype=np.float64)
    lines: list[str] = []
    kept: list[int] = []
    crowd = clipped = outside = 0
    for row in rows:
        if coco.iscrowd[row]:
            crowd += 1
            continue
        corners = coco.boxes_xyxy[row]
        inside = np.clip(corners, 0, size)
        if (inside[2:] <= inside[:2]).any():
            outside += 1
            continue
        clipped += int(not np.array_equal(inside, corners))
        low, high = inside[:2] / size[:2], inside[2:] / size[:2]
        numbers = (*(low + high) / 2, *(high - low))
        class_index = class_of_category[int(coco.labels[row])]
        kept.append(row)
        lines.append(f"{class_index} " + " ".join(f"{number:.9f}" for number in numbers) + "\n")
    return lines, kept, (crowd, clipped, outside)


def _link(source: Path, link: Path) -> None:
    try:
        link.symlink_to(os.path.abspath(source))  # noqa: PTH100 - a link's own target stays
    except OSError:
        # File systems without links, such as some network drives and Windows without the right.
        shutil.copyfile(source, link)
