"""Pascal VOC: one XML file per image."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from data_tools.coco.dataset import CocoDataset
from data_tools.convert.assemble import BoxEntry, ImageEntry, assemble, whole_pixels
from data_tools.ground.errors import UserError


def coco_from_voc(folder: Path, *, zero_based: bool = False) -> CocoDataset:
    """Read a folder of VOC files; classes are numbered in alphabetical order.

    Args:
        folder: searched for `*.xml`, subfolders too; an image is named like its XML file's folder
            and its `filename`.
        zero_based: VOC counts pixels from 1 and includes the last one, so that a box from 1 to 10
            covers ten pixels, 0 to 10 in COCO. Many tools write COCO-like numbers instead: True.

    Raises:
        UserError: no XML file, a broken one, or one that lacks an element.
    """
    paths = sorted(folder.rglob("*.xml"))
    if not paths:
        raise UserError("there is no XML file", where=folder, expected="one per image")
    images, boxes = [], []
    for path in paths:
        root = _parse(path)
        name = (path.parent.relative_to(folder) / _text(root, "filename", path)).as_posix()
        width, height = (
            whole_pixels(_number(root, f"size/{key}", path), key, path)
            for key in ("width", "height")
        )
        images.append(ImageEntry(name, (width, height)))
        boxes += [_box(element, name, path, zero_based) for element in root.iter("object")]
    return assemble(images, boxes, sorted({box.class_name for box in boxes}), folder)


def _box(element: ElementTree.Element, name: str, path: Path, zero_based: bool) -> BoxEntry:
    first = 0.0 if zero_based else 1.0
    left, top = (_number(element, f"bndbox/{key}", path) - first for key in ("xmin", "ymin"))
    right, bottom = (_number(element, f"bndbox/{key}", path) for key in ("xmax", "ymax"))
    return BoxEntry(name, _text(element, "name", path), (left, top, right, bottom))


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"the file is not valid XML ({error})", where=path) from None


def _text(element: ElementTree.Element, key: str, path: Path) -> str:
    text = (element.findtext(key) or "").strip()
    if not text:
        raise UserError(f"there is no <{key.replace('/', '><')}>", where=path, expected="VOC XML")
    return text


def _number(element: ElementTree.Element, key: str, path: Path) -> float:
    text = _text(element, key, path)
    try:
        return float(text)
    except ValueError:
        raise UserError(f"<{key}> is {text!r}", where=path, expected="a number") from None
