"""Every picture decoded once before anything long begins: which ones are broken, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.pictures.facts import image_facts
from models.engine.data.decode import read_picture, wrong_size

# The decoder skips most of its work at this reduction and still reads the file to its end.
_REDUCTION = 8
SHOWN = 3


def broken_pictures(coco: CocoDataset, image_root: Path) -> dict[str, str]:
    """Return why pictures cannot be decoded whole, by file name.

    Raises:
        UserError: a picture has another size than its annotations state.
    """

    def reason(name: str, size_wh: tuple[int, int]) -> str | None:
        facts = image_facts(image_root, name, pixels="none")
        if facts.problem is not None or facts.size_wh is None:
            return facts.problem or "unreadable"
        if facts.size_wh != size_wh:
            raise wrong_size(facts.size_wh, size_wh, image_root / name, facts.orientation)
        try:
            read_picture(image_root / name, size_wh, _REDUCTION)
        except UserError as error:  # its size is right, and it is there
            return error.what
        return None

    sizes = [(width, height) for width, height in coco.sizes_wh.tolist()]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        reasons = list(pool.map(reason, coco.file_names, sizes))
    pairs = zip(coco.file_names, reasons, strict=True)
    return {name: found for name, found in pairs if found is not None}


def without_pictures(coco: CocoDataset, names: Mapping[str, str] | set[str]) -> CocoDataset:
    """Return a dataset without the images of these names."""
    return coco.subset([image["id"] for image in coco.images if image["file_name"] not in names])


def refuse_broken(broken: Mapping[str, str], image_root: Path) -> None:
    """Raise a `UserError` if there are broken pictures, with what can be done.

    Raises:
        UserError: it names the first of them.
    """
    if not broken:
        return
    first = [f"{name} ({reason})" for name, reason in list(broken.items())[:SHOWN]]
    more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    raise UserError(
        f"{len(broken)} pictures cannot be decoded whole: {', '.join(first)}{more}",
        where=image_root,
        expected="pictures that decode to their last row",
        next_step=f"python -m data_tools repair {image_root} --out NEW saves what decodes of them; "
        "--skip-broken trains without them",
    )
