"""COCO annotation files: read, check, write. Every other module sees a checked `CocoDataset`."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.checks import SkippedBox, checked_content
from data_tools.ground.declared.parsing import Refusal, without_repeats
from data_tools.ground.errors import UserError
from data_tools.ground.files import write_json
from data_tools.ground.whole.staging import refuse_incomplete


@dataclass(frozen=True)
class CocoDataset:
    """A checked COCO dataset; the dictionaries keep whatever extra keys the file had.

    Attributes:
        images: one dict per image, in file order; `id`, `file_name`, `width`, `height` are set.
        annotations: one dict per box, in file order; `id`, `image_id`, `category_id`, `bbox`
            (x, y, w, h in pixels, w > 0, h > 0), `area` and `iscrowd` are set.
        categories: one dict per class, in file order.
        skipped: boxes that `read_coco` left out, each with the reason; `verify` and `split` tell.
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
    def distinct_category_names(self) -> tuple[str, ...]:
        """Class names in file order; of names that stand twice, each with its category id."""
        names = self.category_names
        return tuple(
            f"{name} ({category_id})" if names.count(name) > 1 else name
            for name, category_id in zip(names, self.category_ids.tolist(), strict=True)
        )

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
            Or it may belong to another set than the files beside it.
    """
    path = Path(path)
    refuse_incomplete(path)
    return coco_from_dict(load_json(path), source=path)


def write_coco(path: str | Path, dataset: CocoDataset) -> None:
    """Write a dataset as COCO JSON, whole or not at all."""
    write_json(path, dataset.as_dict(), indent=None, source=dataset.source)


def load_json(path: Path) -> Any:
    """Load JSON, plain or gzipped, turning a missing or truncated file into a `UserError`."""
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            return json.load(file, object_pairs_hook=without_repeats)
    except FileNotFoundError:
        raise UserError(
            "the file does not exist",
            where=path,
            expected="a COCO JSON file",
            next_step="check the path; `make sample` draws a dataset to try the kit with",
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"the file is not UTF-8 text ({error.reason} at byte {error.start})",
            where=path,
            expected="a COCO JSON file in UTF-8",
            next_step="save it again in UTF-8",
        ) from None
    except (Refusal, ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"the file is not valid JSON ({error})",
            where=path,
            expected="a complete COCO JSON file",
            next_step="download or write it again: it may have been cut off",
        ) from None


def coco_from_dict(value: Any, *, source: Path | None = None) -> CocoDataset:
    """Check a parsed COCO file and return it as a `CocoDataset`; errors as `read_coco`."""
    return CocoDataset(**checked_content(value, source), source=source)
