"""Read a COCO file of another tool; what is repaired is counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from data_tools.coco.dataset import CocoDataset, coco_from_dict, load_json
from data_tools.convert.foreign_coco.boxes import repaired_annotations
from data_tools.convert.foreign_coco.ids import IdMap, renumbered
from data_tools.convert.foreign_coco.images import repaired_images
from data_tools.ground.errors import UserError


def read_foreign_coco(path: Path, image_root: Path) -> tuple[CocoDataset, dict[str, int]]:
    """Read and repair a COCO file.

    Repaired: ids that are text or fractions, missing and repeated ids, images listed twice, names
    with backslashes and addresses (where the picture is then there), sizes that are missing or
    text, boxes that are text, nested, negative, fractions of the image, or only drawn as polygons,
    areas and crowd flags of other types.

    Args:
        path: the file.
        image_root: folder of the pictures; read where the file leaves sizes or names open.

    Returns:
        The checked dataset, and how often each repair was made, by its description.

    Raises:
        UserError: what is left breaks the format, or a picture that is needed is not there.
    """
    value = load_json(path)
    if not isinstance(value, dict):
        return coco_from_dict(value, source=path), {}
    counts: Counter[str] = Counter()
    images, image_ids = repaired_images(_objects(value, "images", path), image_root, path, counts)
    categories, category_ids = _repaired_categories(_objects(value, "categories", path), counts)
    annotations = _objects(value, "annotations", path)
    annotations = repaired_annotations(annotations, images, image_ids, category_ids, counts)
    repaired = {**value, "images": images, "annotations": annotations, "categories": categories}
    return coco_from_dict(repaired, source=path), dict(counts)


def _objects(value: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = value.get(key)
    if entries is None and key != "images":
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(
            f"`{key}` is no list of objects", where=path, expected="a list of objects in braces"
        )
    return [dict(entry) for entry in entries]


def _repaired_categories(
    categories: list[dict[str, Any]], counts: Counter[str]
) -> tuple[list[dict[str, Any]], IdMap]:
    unique: list[dict[str, Any]] = []
    for category in categories:
        name = category.get("name")
        if isinstance(name, (int, float)) and not isinstance(name, bool):
            category["name"] = f"{name:g}"
            counts["class names that were numbers"] += 1
        elif isinstance(name, str) and name != name.strip():
            category["name"] = name.strip()
            counts["class names with spaces around them"] += 1
        if any((c.get("id"), c.get("name")) == (category.get("id"), name) for c in unique):
            counts["classes listed twice"] += 1
            continue
        unique.append(category)
    ids = renumbered([category.get("id") for category in unique], "class", counts)
    for category in unique:
        category["id"] = ids.of(category.get("id"))
    return unique, ids
