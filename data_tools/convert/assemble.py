"""Put images and boxes read from another format together as a checked COCO dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_tools.coco.dataset import CocoDataset, coco_from_dict
from data_tools.ground.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageEntry:
    """One image: name relative to the data root, and (width, height) in pixels."""

    file_name: str
    size_wh: tuple[int, int]


@dataclass(frozen=True)
class BoxEntry:
    """One box of an image, (xmin, ymin, xmax, ymax) in pixels."""

    file_name: str
    class_name: str
    box_xyxy: tuple[float, float, float, float]


def assemble(
    images: Sequence[ImageEntry],
    boxes: Iterable[BoxEntry],
    class_names: Sequence[str],
    source: Path,
) -> CocoDataset:
    """Number images and classes from 0 and boxes from 1 in the order given, and check the result.

    Boxes without area are left out and listed in `skipped`, as when reading a COCO file.

    Raises:
        UserError: an image or a class name stands twice, or the content breaks the format.
    """
    _refuse_repeated([image.file_name for image in images], "image", source)
    _refuse_repeated(class_names, "class", source)
    id_of_image = {image.file_name: number for number, image in enumerate(images)}
    id_of_class = {name: number for number, name in enumerate(class_names)}
    annotations = []
    # pycocotools takes annotation id 0 for "no match".
    for number, box in enumerate(boxes, start=1):
        left, top, right, bottom = box.box_xyxy
        annotations.append(
            {
                "id": number,
                "image_id": id_of_image[box.file_name],
                "category_id": id_of_class[box.class_name],
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    return coco_from_dict(
        {
            "info": {"description": f"converted from {source.name}"},
            "images": [
                {
                    "id": id_of_image[image.file_name],
                    "file_name": image.file_name,
                    "width": image.size_wh[0],
                    "height": image.size_wh[1],
                }
                for image in images
            ],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for name, number in id_of_class.items()],
        },
        source=source,
    )


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


def image_size(root: Path, file_name: str) -> tuple[int, int]:
    """Return (width, height) from an image's header.

    Raises:
        UserError: the image is missing or is none.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(root / file_name) as image:
            return image.size
    except FileNotFoundError:
        raise UserError(
            "the image does not exist",
            where=root / file_name,
            expected="an image for each annotation",
            next_step="give the folder that file names are relative to with --data",
        ) from None
    except UnidentifiedImageError:
        raise UserError("the file is no image", where=root / file_name) from None


def image_files(root: Path) -> list[str]:
    """Return the names of all images under a folder, relative to it, sorted."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
    )
