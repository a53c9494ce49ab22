"""What makes a COCO file valid: every key that the kit reads is checked here, once, on reading."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.fractions import LARGEST_FRACTION, look_like_fractions
from data_tools.coco.names import checked_name
from data_tools.ground.errors import UserError

# Ids are held as int64.
ID_LIMIT = 2**63


@dataclass(frozen=True)
class SkippedBox:
    """An annotation that was left out, and why."""

    annotation_id: int
    image_id: int
    file_name: str
    reason: str


def checked_content(value: Any, source: Path | None) -> dict[str, Any]:
    """Return the checked fields of a parsed COCO file, as `CocoDataset` takes them.

    Args:
        value: the parsed JSON.
        source: its file, for messages.

    Returns:
        `images`, `annotations`, `categories`, `info`, `licenses` and `skipped`; annotations have
        `area` and `iscrowd` set where the file leaves them out.

    Raises:
        UserError: the content breaks the format; the message names the key.
    """
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise UserError(
            "the file has no list `images`",
            where=source,
            expected="an object with `images`, `categories` and, for truth, `annotations`",
        )
    images = tuple(
        _checked_image(image, position, source) for position, image in enumerate(value["images"])
    )
    _refuse_duplicates((image["id"] for image in images), "image id", "images", source)
    _refuse_duplicates((image["file_name"] for image in images), "file name", "images", source)
    categories = _checked_categories(_list(value, "categories", source), source)
    annotations, skipped = _checked_annotations(
        _list(value, "annotations", source), images, categories, source
    )
    info, licenses = value.get("info"), value.get("licenses")
    return {
        "images": images,
        "annotations": annotations,
        "categories": categories,
        # Of other types they are passed over: nobody reads them.
        "info": info if isinstance(info, dict) else {},
        "licenses": tuple(licenses) if isinstance(licenses, list) else (),
        "skipped": skipped,
    }


def _list(value: dict[str, Any], key: str, source: Path | None) -> list[Any]:
    """Return an optional part of the file; an empty one where it is missing or null."""
    block = value.get(key)
    if block is None:
        return []
    if not isinstance(block, list):
        raise UserError(
            f"`{key}` is of type {type(block).__name__}",
            where=source,
            expected=f"a list, or no `{key}` at all",
        )
    return block


def _advice(where: str | Path | None) -> str:
    """Return the command that reads files as other tools write them."""
    source = str(where).partition(", ")[0]
    return (
        f"python -m data_tools convert {source} --from coco --data DATA --out NEW.json "
        "repairs what other tools write differently"
    )


def _refuse_duplicates(values: Iterable[Any], noun: str, key: str, source: Path | None) -> None:
    duplicates = [value for value, count in Counter(values).items() if count > 1]
    if duplicates:
        raise UserError(
            f"{len(duplicates)} duplicate {noun}s, the first is {duplicates[0]!r}",
            where=f"{source}, key `{key}`",
            expected=f"every {noun} once",
            next_step=_advice(source)
            if noun in ("annotation id", "file name")
            else "remove or renumber the duplicates",
        )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < ID_LIMIT


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
                next_step=_advice(where),
            )
    if not isinstance(image.get("file_name"), str) or not image["file_name"]:
        raise UserError(
            f"image `file_name` is {image.get('file_name')!r}",
            where=where,
            expected="a path relative to the data root",
        )
    checked_name(image["file_name"], where)
    return image


def _checked_categories(categories: list[Any], source: Path | None) -> tuple[dict[str, Any], ...]:
    for position, category in enumerate(categories):
        valid = isinstance(category, dict) and _is_int(category.get("id"))
        if not valid or not isinstance(category.get("name"), str):
            raise UserError(
                "a category lacks `id` or `name`",
                where=f"{source}, categories[{position}]",
                expected="{id: whole number, name: text}",
                next_step=_advice(source),
            )
    _refuse_duplicates([category["id"] for category in categories], "id", "categories", source)
    return tuple(categories)


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
        kept.append({**box, "area": _area(box), "iscrowd": box.get("iscrowd") or 0})
    ids = [box["id"] for box in kept] + [box.annotation_id for box in skipped]
    _refuse_duplicates(ids, "annotation id", "annotations", source)
    _refuse_fractions(kept, images, source)
    return tuple(kept), tuple(skipped)


def _refuse_fractions(
    annotations: list[dict[str, Any]], images: tuple[dict[str, Any], ...], source: Path | None
) -> None:
    """Refuse boxes in fractions: read as pixels they would score 0 and teach nothing."""
    if any(max(box["bbox"]) > LARGEST_FRACTION for box in annotations):
        return  # nearly always the first box tells
    size_of_id = {image["id"]: (image["width"], image["height"]) for image in images}
    boxes = np.array([box["bbox"] for box in annotations], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    sizes = np.array([size_of_id[box["image_id"]] for box in annotations])
    if look_like_fractions(boxes, sizes):
        raise UserError(
            f"all {len(boxes)} boxes look like fractions of the image",
            where=f"{source}, key `bbox`",
            expected="x, y, width, height in pixels",
            next_step=f"python -m data_tools convert {source} --from coco --out NEW.json "
            "makes pixels of them",
        )


def _check_annotation(
    box: Any, where: str, file_name_of_id: dict[int, str], category_ids: set[int]
) -> None:
    if not isinstance(box, dict) or not _is_int(box.get("id")):
        raise UserError(
            "an annotation has no whole number `id`", where=where, next_step=_advice(where)
        )
    where = f"{where} (id {box['id']})"
    if not _is_number(box.get("image_id")) or box["image_id"] not in file_name_of_id:
        raise UserError(
            f"`image_id` {box.get('image_id')!r} is not among the images",
            where=where,
            expected="an id listed in `images`",
            next_step=_advice(where),
        )
    if not _is_number(box.get("category_id")) or box["category_id"] not in category_ids:
        raise UserError(
            f"`category_id` {box.get('category_id')!r} is not among the categories",
            where=where,
            expected=f"one of {sorted(category_ids)}",
            next_step=_advice(where),
        )
    bbox = box.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise UserError(
            f"`bbox` is {bbox!r}",
            where=where,
            expected="[x, y, width, height]",
            next_step=_advice(where),
        )
    area = box.get("area")
    if area is not None and not (_is_number(area) and 0 <= area < math.inf):
        raise UserError(
            f"`area` is {area!r}",
            where=where,
            expected="square pixels, 0 or more",
            next_step=_advice(where),
        )
    if box.get("iscrowd") not in (None, 0, 1):
        raise UserError(
            f"`iscrowd` is {box['iscrowd']!r}",
            where=where,
            expected="0 or 1",
            next_step=_advice(where),
        )


def _area(box: dict[str, Any]) -> float:
    """Return the file's own area, also where it is 0: COCO sorts sizes by it."""
    area = box.get("area")
    return box["bbox"][2] * box["bbox"][3] if area is None else area


def _reason_to_skip(bbox: list[float]) -> str | None:
    if not all(math.isfinite(value) for value in bbox):
        return f"bbox {bbox} is not finite"
    if bbox[2] <= 0 or bbox[3] <= 0:
        return f"bbox {bbox} has no area"
    return None
