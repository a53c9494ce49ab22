"""The images of a foreign COCO file: ids, names and sizes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from data_tools.convert.foreign_coco.ids import IdMap, renumbered
from data_tools.convert.picture_files import found_name, image_entry
from data_tools.ground.errors import UserError


def repaired_images(
    images: list[dict[str, Any]], image_root: Path, source: Path, counts: Counter[str]
) -> tuple[list[dict[str, Any]], IdMap]:
    """Return images with whole ids, names below the root, and sizes; and what the ids became.

    A size that is read from a picture is the one that programs show, since nearly all tools draw
    boxes on that.

    Raises:
        UserError: a name cannot be used and no picture is found for it, or a size is missing and
            the picture as well.
    """
    for position, image in enumerate(images):
        name, where = image.get("file_name"), f"{source}, images[{position}]"
        if not isinstance(name, str) or not name:
            raise UserError(
                f"image `file_name` is {name!r}",
                where=where,
                expected="a path relative to the data root",
            )
        image["file_name"] = found_name(name, image_root, counts, where)
        # No annotation can mean an image without id; it keeps its place.
        image.setdefault("id", f"image {position} without id")
    ids = renumbered([image["id"] for image in images], "image", counts)
    unique: dict[str, dict[str, Any]] = {}
    joined: dict[Any, int] = {}
    for image in images:
        number = ids.of(image["id"])
        first = unique.get(image["file_name"])
        if first is None:
            unique[image["file_name"]] = {**image, "id": number}
            continue
        counts["images listed twice, joined with their boxes"] += 1
        joined[number] = first["id"]
    for position, image in enumerate(unique.values()):
        _complete_size(image, image_root, f"{source}, images[{position}]", counts)
    final = {key: joined.get(number, number) for key, number in ids.number_of_key.items()}
    return list(unique.values()), IdMap(final)


def _complete_size(image: dict[str, Any], root: Path, where: str, counts: Counter[str]) -> None:
    stated = [image.get(key) for key in ("width", "height")]
    given = [_whole_side(value) for value in stated]
    if None in given:
        try:
            image["width"], image["height"] = image_entry(root, image["file_name"]).size_wh
        except UserError as error:
            raise UserError(
                f"`width` and `height` are {stated[0]!r} and {stated[1]!r}, and the picture does "
                f"not tell them: {error.what}",
                where=where,
                expected=f"{image['file_name']} in {root}",
                next_step="give the folder that holds the pictures with --data",
            ) from None
        counts["sizes read from the pictures"] += 1
    elif not all(isinstance(value, int) for value in stated):
        image["width"], image["height"] = given
        counts["sizes written as text or fractions"] += 1


def _whole_side(value: Any) -> int | None:
    try:
        side = float(value)
    except (TypeError, ValueError):
        return None
    return int(side) if side > 0 and side.is_integer() else None
