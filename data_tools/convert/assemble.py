"""Put images and boxes read from another format together as a checked COCO dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset, coco_from_dict
from data_tools.ground.errors import UserError
from data_tools.pictures.orientation import UPRIGHT, boxes_as_stored, shown_size

TURNED = "pictures turned by EXIF: their boxes moved to the pixels as stored"


@dataclass(frozen=True)
class ImageEntry:
    """One image.

    Attributes:
        file_name: relative to the data root.
        size_wh: width and height in pixels as programs show the picture.
        orientation: EXIF orientation, 1 to 8, where the picture was read for its size.
    """

    file_name: str
    size_wh: tuple[int, int]
    orientation: int = UPRIGHT


@dataclass(frozen=True)
class BoxEntry:
    """One box of an image, (xmin, ymin, xmax, ymax) in pixels as shown."""

    file_name: str
    class_name: str
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class Imported:
    """A dataset read from another format.

    Attributes:
        dataset: checked.
        notes: what was assumed, repaired or passed over, each with how often.
    """

    dataset: CocoDataset
    notes: dict[str, int] = field(default_factory=dict)


def assemble(
    images: Sequence[ImageEntry],
    boxes: Iterable[BoxEntry],
    class_names: Sequence[str],
    source: Path,
    notes: Counter[str] | None = None,
) -> Imported:
    """Number images and classes from 0 and boxes from 1 in the order given, and check the result.

    Boxes without area are left out and listed in `skipped`, as when reading a COCO file. Boxes of
    pictures that an EXIF tag turns are moved to the pixels as stored.

    Raises:
        UserError: an image or a class name stands twice, or the content breaks the format.
    """
    _refuse_repeated([image.file_name for image in images], "image", source)
    _refuse_repeated(class_names, "class", source)
    notes = Counter() if notes is None else notes
    number_of_image = {image.file_name: number for number, image in enumerate(images)}
    id_of_class = {name: number for number, name in enumerate(class_names)}
    annotations = []
    # pycocotools takes annotation id 0 for "no match".
    for number, box in enumerate(boxes, start=1):
        image_id = number_of_image[box.file_name]
        left, top, right, bottom = _as_stored(box.box_xyxy, images[image_id])
        annotations.append(
            {
                "id": number,
                "image_id": image_id,
                "category_id": id_of_class[box.class_name],
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    turned = sum(image.orientation != UPRIGHT for image in images)
    if turned:
        notes[TURNED] += turned
    content = {
        "info": {"description": f"converted from {source.name}"},
        "images": [_coco_image(number, image) for number, image in enumerate(images)],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in id_of_class.items()],
    }
    return Imported(coco_from_dict(content, source=source), dict(notes))


def _as_stored(
    box_xyxy: tuple[float, float, float, float], image: ImageEntry
) -> tuple[float, float, float, float]:
    if image.orientation == UPRIGHT:
        return box_xyxy
    stored_wh = shown_size(image.size_wh, image.orientation)
    left, top, right, bottom = boxes_as_stored(np.array([box_xyxy]), image.orientation, stored_wh)[
        0
    ].tolist()
    return left, top, right, bottom


def _coco_image(number: int, image: ImageEntry) -> dict[str, object]:
    width, height = shown_size(image.size_wh, image.orientation)
    return {"id": number, "file_name": image.file_name, "width": width, "height": height}


def _refuse_repeated(names: Sequence[str], noun: str, source: Path) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(
            f"the {noun} {repeated[0]!r} stands there {names.count(repeated[0])} times",
            where=source,
            expected=f"every {noun} once",
        )


def whole_pixels(value: float, key: str, where: str | Path) -> int:
    """Return a side of an image as a whole number; anything else is an error that names it."""
    if not (value > 0 and value == value // 1):
        raise UserError(f"`{key}` is {value:g}", where=where, expected="a whole number of pixels")
    return int(value)
