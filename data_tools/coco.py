"""COCO annotation files: read, check, write. Every other module sees a checked `CocoDataset`."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.errors import UserError
from data_tools.files import write_json


@dataclass(frozen=True)
class SkippedBox:
    """An annotation that was left out, and why."""

    annotation_id: int
    image_id: int
    file_name: str
    reason: str


@dataclass(frozen=True)
class CocoDataset:
    """A checked COCO dataset; the dictionaries keep whatever extra keys the file had.

    Attributes:
        images: one dict per image, in file order; `id`, `file_name`, `width`, `height` are set.
        annotations: one dict per box, in file order; `id`, `image_id`, `category_id`, `bbox`
            (x, y, w, h in pixels, w > 0, h > 0), `area` and `iscrowd` are set.
        categories: one dict per class, in file order.
        skipped: boxes that were left out on reading; never empty silently, callers report it.
        source: the file it was read from.
    """

    images: tuple[dict[str, Any], ...]
    annotations: tuple[dict[str, Any], ...]
    categories: tuple[dict[str, Any], ...]
    info: dict[str, Any] = field(default_factory=dict)
    licenses: tuple[Any, ...] = ()
    skipped: tuple[SkippedBox, ...] = ()
    source: Path | None = None

    @cached_property
    def image_ids(self) -> np.ndarray:
        """(I,) int64 image ids in file order."""
        return np.array([image["id"] for image in self.images], dtype=np.int64)

    @cached_property
    def sizes_wh(self) -> np.ndarray:
        """(I, 2) int64 width and height of the images in file order."""
        sizes = [(image["width"], image["height"]) for image in self.images]
        return np.array(sizes, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def file_names(self) -> tuple[str, ...]:
        """File names relative to the data root, in file order."""
        return tuple(image["file_name"] for image in self.images)

    @cached_property
    def index_of_image_id(self) -> dict[int, int]:
        """Position in `images` of each image id."""
        return {int(image_id): index for index, image_id in enumerate(self.image_ids)}

    @cached_property
    def image_id_of_file_name(self) -> dict[str, int]:
        """Image id of each file name."""
        return dict(zip(self.file_names, self.image_ids.tolist(), strict=True))

    @cached_property
    def category_ids(self) -> np.ndarray:
        """(C,) int64 category ids in file order; they need not be contiguous."""
        return np.array([category["id"] for category in self.categories], dtype=np.int64)

    @cached_property
    def category_names(self) -> tuple[str, ...]:
        """Class names in file order."""
        return tuple(category["name"] for category in self.categories)

    @cached_property
    def annotation_image_ids(self) -> np.ndarray:
        """(N,) int64 image id of each box."""
        return np.array([box["image_id"] for box in self.annotations], dtype=np.int64)

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64 category id of each box."""
        return np.array([box["category_id"] for box in self.annotations], dtype=np.int64)

    @cached_property
    def boxes_xywh(self) -> np.ndarray:
        """(N, 4) float64 boxes as in the file."""
        boxes = [box["bbox"] for box in self.annotations]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)

    @cached_property
    def boxes_xyxy(self) -> np.ndarray:
        """(N, 4) float64 corners in pixels."""
        boxes = self.boxes_xywh.copy()
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    @cached_property
    def iscrowd(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([bool(box["iscrowd"]) for box in self.annotations], dtype=bool)

    @cached_property
    def annotation_areas(self) -> np.ndarray:
        """(N,) float64 `area` of each box as in the file, square pixels."""
        return np.array([box["area"] for box in self.annotations], dtype=np.float64)

    @cached_property
    def annotation_ids(self) -> np.ndarray:
        """(N,) int64 annotation id of each box."""
        return np.array([box["id"] for box in self.annotations], dtype=np.int64)

    @cached_property
    def annotation_rows_of_image_id(self) -> dict[int, list[int]]:
        """Positions in `annotations` of each image's boxes; an empty list where it has none."""
        rows: dict[int, list[int]] = {int(image_id): [] for image_id in self.image_ids}
        for row, image_id in enumerate(self.annotation_image_ids.tolist()):
            rows[image_id].append(row)
        return rows

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the images (id, file name, size); prediction files carry it."""
        digest = hashlib.sha256()
        for image in sorted(self.images, key=lambda image: image["id"]):
            row = [image["id"], image["file_name"], image["width"], image["height"]]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()[:16]

    def subset(self, image_ids: Sequence[int] | np.ndarray) -> CocoDataset:
        """Return the dataset of these images, in file order, with their boxes."""
        wanted = {int(image_id) for image_id in image_ids}
        unknown = wanted - set(self.index_of_image_id)
        if unknown:
            raise UserError(
                f"{len(unknown)} image ids are not in the dataset, the first is {min(unknown)}",
                where=self.source,
                expected="ids from its `images`",
            )
        return CocoDataset(
            images=tuple(image for image in self.images if image["id"] in wanted),
            annotations=tuple(box for box in self.annotations if box["image_id"] in wanted),
            categories=self.categories,
            info=self.info,
            licenses=self.licenses,
            source=self.source,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the dataset as the JSON object of a COCO file."""
        return {
            "info": self.info,
            "licenses": list(self.licenses),
            "images": list(self.images),
            "annotations": list(self.annotations),
            "categories": list(self.categories),
        }


def read_coco(path: str | Path) -> CocoDataset:
    """Read and check a COCO file (`.json` or `.json.gz`).

    Boxes of zero or negative size are left out and listed in `skipped`; everything else that is
    wrong is an error. Images without boxes are kept.

    Raises:
        UserError: the file is missing, truncated, or breaks the format; the message names the key.
    """
    path = Path(path)
    return coco_from_dict(load_json(path), source=path)


def write_coco(path: str | Path, dataset: CocoDataset) -> None:
    """Write a dataset as COCO JSON, whole or not at all."""
    write_json(path, dataset.as_dict(), indent=None)


def load_json(path: Path) -> Any:
    """Load JSON, plain or gzipped, turning a missing or truncated file into a `UserError`."""
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise UserError(
            "the file does not exist",
            where=path,
            expected="a COCO JSON file",
            next_step="check the path; `make sample` draws a dataset to try the kit with",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise UserError(
            f"the file is not valid JSON ({error})",
            where=path,
            expected="a complete COCO JSON file",
            next_step="download or write it again: it may have been cut off",
        ) from None


def coco_from_dict(value: Any, *, source: Path | None = None) -> CocoDataset:
    """Check a parsed COCO file and return it as a `CocoDataset`; errors as `read_coco`."""
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise UserError(
            "the file has no list `images`",
            where=source,
            expected="an object with `images`, `categories` and, for truth, `annotations`",
        )
    images = tuple(
        _checked_image(image, position, source) for position, image in enumerate(value["images"])
    )
    _refuse_duplicates([image["id"] for image in images], "image id", "images", source)
    _refuse_duplicates([image["file_name"] for image in images], "file name", "images", source)
    categories = tuple(_checked_categories(value.get("categories") or [], source))
    annotations, skipped = _checked_annotations(
        value.get("annotations") or [], images, categories, source
    )
    return CocoDataset(
        images=images,
        annotations=annotations,
        categories=categories,
        info=value.get("info") or {},
        licenses=tuple(value.get("licenses") or ()),
        skipped=skipped,
        source=source,
    )


def _refuse_duplicates(values: list[Any], noun: str, key: str, source: Path | None) -> None:
    duplicates = [value for value, count in Counter(values).items() if count > 1]
    if duplicates:
        raise UserError(
            f"{len(duplicates)} duplicate {noun}s, the first is {duplicates[0]!r}",
            where=f"{source}, key `{key}`",
            expected=f"every {noun} once",
            next_step="remove or renumber the duplicates",
        )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _checked_image(image: Any, position: int, source: Path | None) -> dict[str, Any]:
    where = f"{source}, images[{position}]"
    if not isinstance(image, dict):
        raise UserError("an image is not an object", where=where, expected="{id, file_name, ...}")
    for key in ("id", "width", "height"):
        if not _is_int(image.get(key)) or (key != "id" and image[key] <= 0):
            raise UserError(
                f"image `{key}` is {image.get(key)!r}",
                where=where,
                expected="a whole number" + ("" if key == "id" else " above 0"),
            )
    if not isinstance(image.get("file_name"), str) or not image["file_name"]:
        raise UserError(
            f"image `file_name` is {image.get('file_name')!r}",
            where=where,
            expected="a path relative to the data root",
        )
    return image


def _checked_categories(categories: Any, source: Path | None) -> list[dict[str, Any]]:
    for position, category in enumerate(categories):
        valid = isinstance(category, dict) and _is_int(category.get("id"))
        if not valid or not isinstance(category.get("name"), str):
            raise UserError(
                "a category lacks `id` or `name`",
                where=f"{source}, categories[{position}]",
                expected="{id: whole number, name: text}",
            )
    _refuse_duplicates([category["id"] for category in categories], "id", "categories", source)
    return list(categories)


def _checked_annotations(
    annotations: list[Any],
    images: tuple[dict[str, Any], ...],
    categories: tuple[dict[str, Any], ...],
    source: Path | None,
) -> tuple[tuple[dict[str, Any], ...], tuple[SkippedBox, ...]]:
    file_name_of_id = {image["id"]: image["file_name"] for image in images}
    category_ids = {category["id"] for category in categories}
    kept, skipped = [], []
    for position, box in enumerate(annotations):
        where = f"{source}, annotations[{position}]"
        _check_annotation(box, where, file_name_of_id, category_ids)
        reason = _reason_to_skip(box["bbox"])
        if reason:
            name = file_name_of_id[box["image_id"]]
            skipped.append(SkippedBox(box["id"], box["image_id"], name, reason))
            continue
        width, height = box["bbox"][2:]
        kept.append(
            {**box, "area": box.get("area") or width * height, "iscrowd": box.get("iscrowd") or 0}
        )
    ids = [box["id"] for box in kept] + [box.annotation_id for box in skipped]
    _refuse_duplicates(ids, "annotation id", "annotations", source)
    return tuple(kept), tuple(skipped)


def _check_annotation(
    box: Any, where: str, file_name_of_id: dict[int, str], category_ids: set[int]
) -> None:
    if not isinstance(box, dict) or not _is_int(box.get("id")):
        raise UserError("an annotation has no whole number `id`", where=where)
    where = f"{where} (id {box['id']})"
    if box.get("image_id") not in file_name_of_id:
        raise UserError(
            f"`image_id` {box.get('image_id')!r} is not among the images",
            where=where,
            expected="an id listed in `images`",
        )
    if box.get("category_id") not in category_ids:
        raise UserError(
            f"`category_id` {box.get('category_id')!r} is not among the categories",
            where=where,
            expected=f"one of {sorted(category_ids)}",
        )
    bbox = box.get("bbox")
    is_box = isinstance(bbox, list) and len(bbox) == 4
    if not is_box or not all(isinstance(v, (int, float)) for v in bbox):
        raise UserError(f"`bbox` is {bbox!r}", where=where, expected="[x, y, width, height]")


def _reason_to_skip(bbox: list[float]) -> str | None:
    if not all(math.isfinite(value) for value in bbox):
        return f"bbox {bbox} is not finite"
    if bbox[2] <= 0 or bbox[3] <= 0:
        return f"bbox {bbox} has no area"
    return None
