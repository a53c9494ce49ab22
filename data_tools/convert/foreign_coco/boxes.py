"""The annotations of a foreign COCO file: ids, boxes, areas, crowd flags."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from data_tools.coco.fractions import look_like_fractions
from data_tools.convert.foreign_coco.ids import IdMap, key_of

_CROWD = {"0": 0, "1": 1, "false": 0, "true": 1, "none": 0, "": 0}


def repaired_annotations(
    annotations: list[dict[str, Any]],
    images: list[dict[str, Any]],
    image_ids: IdMap,
    category_ids: IdMap,
    counts: Counter[str],
) -> list[dict[str, Any]]:
    """Return annotations with whole ids and boxes `[x, y, width, height]` in pixels.

    Those without any box or polygon are left out and counted. What cannot be repaired stays as it
    is: the checker of COCO files names it.
    """
    kept = []
    for annotation in annotations:
        for key, ids in (("image_id", image_ids), ("category_id", category_ids)):
            raw = annotation.get(key)
            annotation[key] = ids.of(raw)
            if annotation[key] != raw or isinstance(raw, float):
                counts[f"references in `{key}` that were no whole numbers or were renumbered"] += 1
        _repair_crowd(annotation, counts)
        bbox = _box(annotation, counts)
        if bbox is None:
            counts["annotations without box or polygon, left out"] += 1
            continue
        annotation["bbox"] = bbox
        _repair_area(annotation, counts)
        kept.append(annotation)
    _number(kept, counts)
    _to_pixels(kept, images, counts)
    return kept


def _number(annotations: list[dict[str, Any]], counts: Counter[str]) -> None:
    """Give every annotation a whole id of its own; the first of two keeps the one they share."""
    keys = [key_of(annotation.get("id")) for annotation in annotations]
    free = max((key for key in keys if isinstance(key, int)), default=0) + 1
    taken: set[int] = set()
    for annotation, key in zip(annotations, keys, strict=True):
        if not isinstance(key, int):
            counts["annotation ids that were missing or no numbers"] += 1
        elif key in taken:
            counts["annotation ids that stood twice"] += 1
        else:
            taken.add(key)
            if not isinstance(annotation["id"], int):
                counts["annotation ids written as text or fractions"] += 1
            annotation["id"] = key
            continue
        annotation["id"] = free
        free += 1


def _box(annotation: dict[str, Any], counts: Counter[str]) -> Any:
    bbox = annotation.get("bbox")
    if not bbox:
        bbox = _box_of_polygons(annotation.get("segmentation"))
        if bbox is not None:
            counts["boxes drawn around polygons"] += 1
        return bbox
    if isinstance(bbox, list) and len(bbox) == 1 and isinstance(bbox[0], list):
        bbox = bbox[0]
        counts["boxes in a list of their own"] += 1
    numbers = _numbers(bbox)
    if numbers is None:
        return bbox
    if any(isinstance(value, str) for value in bbox):
        counts["boxes written as text"] += 1
    left, top, width, height = numbers
    if width < 0 or height < 0:
        counts["boxes with a negative width or height, turned round"] += 1
        left, top = min(left, left + width), min(top, top + height)
        width, height = abs(width), abs(height)
    return [left, top, width, height]


def _numbers(values: Any) -> list[float] | None:
    if not isinstance(values, list) or len(values) != 4:
        return None
    try:
        return [value if isinstance(value, (int, float)) else float(value) for value in values]
    except (TypeError, ValueError):
        return None


def _is_finite(bbox: Any) -> bool:
    numbers = _numbers(bbox)
    return numbers is not None and all(map(math.isfinite, numbers))


def _box_of_polygons(polygons: Any) -> list[float] | None:
    if not isinstance(polygons, list):
        return None
    lists = [part for part in polygons if isinstance(part, list)]
    flat = [value for part in lists for value in part] if lists else polygons
    numbers = [value for value in flat if isinstance(value, (int, float))]
    if len(numbers) < 6 or len(numbers) != len(flat) or len(flat) % 2:
        return None
    across, down = numbers[0::2], numbers[1::2]
    if not all(map(math.isfinite, numbers)):
        return None
    return [min(across), min(down), max(across) - min(across), max(down) - min(down)]


def _repair_crowd(annotation: dict[str, Any], counts: Counter[str]) -> None:
    crowd = annotation.get("iscrowd")
    if isinstance(crowd, str) and crowd.strip().lower() in _CROWD:
        annotation["iscrowd"] = _CROWD[crowd.strip().lower()]
        counts["crowd flags written as text"] += 1


def _repair_area(annotation: dict[str, Any], counts: Counter[str]) -> None:
    area = annotation.get("area")
    if area is None:
        return
    try:
        number = float(area)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < math.inf:
        del annotation["area"]
        counts["areas that cannot be, taken from the boxes"] += 1
    elif isinstance(area, (str, bool)):
        annotation["area"] = number
        counts["areas written as text"] += 1


def _to_pixels(
    annotations: list[dict[str, Any]], images: list[dict[str, Any]], counts: Counter[str]
) -> None:
    size_of_id = {image["id"]: (image["width"], image["height"]) for image in images}
    known = [box for box in annotations if _is_finite(box["bbox"])]
    if not known or not {box["image_id"] for box in known} <= size_of_id.keys():
        return
    sizes = np.array([size_of_id[box["image_id"]] for box in known], dtype=np.float64)
    boxes = np.array([box["bbox"] for box in known], dtype=np.float64)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    if not look_like_fractions(corners, sizes):
        return
    pixels = boxes * np.concatenate([sizes, sizes], axis=1)
    for box, values in zip(known, pixels.tolist(), strict=True):
        box["bbox"] = values
        box.pop("area", None)  # of which unit it is, nobody says
    counts["boxes given as fractions of the image, turned into pixels"] += len(known)
