"""Pascal VOC: one XML file per image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.parsers import expat

from data_tools.convert.assemble import BoxEntry, ImageEntry, Imported, assemble, whole_pixels
from data_tools.convert.picture_files import CUT, found_name, image_entry, is_hidden
from data_tools.ground.errors import UserError

_FROM_PICTURE = "sizes read from the pictures"
_FROM_XML = "images named like their XML file"
# The standard tree has the XML files in one folder and the pictures in another beside it.
_ANNOTATIONS, _PICTURES = "Annotations", "JPEGImages"


def coco_from_voc(folder: Path, image_root: Path, *, zero_based: bool = False) -> Imported:
    """Read a folder of VOC files; classes are numbered in alphabetical order.

    Args:
        folder: searched for `*.xml`, subfolders too; an image is named like its XML file's folder
            (`JPEGImages` where that is `Annotations`) and its `filename`. Without `filename`, or
            where that has no ending, the picture beside it of the XML file's name is taken.
        image_root: folder of the images; read where a size or a name is missing.
        zero_based: VOC counts pixels from 1 and includes the last one, so that a box from 1 to 10
            covers ten pixels, 0 to 10 in COCO. Many tools write COCO-like numbers instead: True.

    Raises:
        UserError: no XML file, a broken one, one that lacks an element, or one whose boxes begin
            at 0 although they should count from 1.
    """
    paths = sorted(
        path
        for path in folder.rglob("*.xml")
        if not is_hidden(PurePosixPath(path.relative_to(folder).as_posix()))
    )
    if not paths:
        raise UserError("there is no XML file", where=folder, expected="one per image")
    notes: Counter[str] = Counter()
    images, boxes = [], []
    for path in paths:
        root = _parse(path)
        name = _image_name(root, path, folder, image_root, notes)
        images.append(_image(root, name, path, image_root, notes))
        boxes += [_box(element, name, path, zero_based) for element in root.iter("object")]
    return assemble(images, boxes, sorted({box.class_name for box in boxes}), folder, notes)


def _image_name(
    root: ElementTree.Element, path: Path, folder: Path, image_root: Path, notes: Counter[str]
) -> str:
    given = (root.findtext("filename") or "").strip()
    if not given:
        notes[_FROM_XML] += 1
        given = path.stem
    beside = path.parent.relative_to(folder)
    # Windows tools write whole paths; of those only the last part is a name.
    last = given.replace("\\", "/").split("/")[-1]
    if beside.name == _ANNOTATIONS and not (image_root / beside / last).is_file():
        beside = beside.with_name(_PICTURES)
    if "\\" not in given and not given.startswith("/"):
        return found_name((beside / given).as_posix(), image_root, notes, path, complete=True)
    if (image_root / beside / last).is_file():
        notes[CUT] += 1
        return (beside / last).as_posix()
    return found_name(given, image_root, notes, path)


def _image(
    root: ElementTree.Element, name: str, path: Path, image_root: Path, notes: Counter[str]
) -> ImageEntry:
    stated = [root.findtext(f"size/{key}") for key in ("width", "height")]
    if all(not (text or "").strip() or _is_zero(text) for text in stated):
        notes[_FROM_PICTURE] += 1
        return image_entry(image_root, name)
    width, height = (
        whole_pixels(_number(root, f"size/{key}", path), key, path) for key in ("width", "height")
    )
    return ImageEntry(name, (width, height))


def _is_zero(text: str | None) -> bool:
    try:
        return float(text or "") == 0
    except ValueError:
        return False


def _box(element: ElementTree.Element, name: str, path: Path, zero_based: bool) -> BoxEntry:
    first = 0.0 if zero_based else 1.0
    left, top = (_number(element, f"bndbox/{key}", path) for key in ("xmin", "ymin"))
    right, bottom = (_number(element, f"bndbox/{key}", path) for key in ("xmax", "ymax"))
    if not zero_based and (0 <= left < first or 0 <= top < first):
        raise UserError(
            f"a box begins at {left:g}, {top:g}: VOC counts pixels from 1, this file from 0",
            where=path,
            expected="corners of 1 and above",
            next_step="add --zero-based",
        )
    corners = (left - first, top - first, right, bottom)
    return BoxEntry(name, _text(element, "name", path), corners)


def _parse(path: Path) -> ElementTree.Element:
    content = path.read_bytes()
    try:
        _refuse_declarations(content, path)
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise UserError(f"the file is not valid XML ({error})", where=path) from None


def _refuse_declarations(content: bytes, path: Path) -> None:
    """Refuse a document type: its entities may unfold to gigabytes or name other files."""

    def refuse(*_: object) -> None:
        raise UserError(
            "the file declares a document type",
            where=path,
            expected="VOC XML, which has no <!DOCTYPE ...>",
            next_step="remove that declaration",
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)


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
