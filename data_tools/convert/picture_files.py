"""Pictures that annotations of other tools speak of: found under the image root, measured."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from data_tools.coco.names import name_fault
from data_tools.convert.assemble import ImageEntry
from data_tools.ground.errors import UserError
from data_tools.pictures.orientation import orientation_of, shown_size

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
BACKSLASHES = "names whose backslashes were turned"
CUT = "names cut to the part that is below --data"
COMPLETED = "names given the ending of their picture"


def is_hidden(relative: PurePosixPath) -> bool:
    """Say whether a file is what file managers leave behind, such as `._a.jpg` in `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)


def image_files(root: Path) -> list[str]:
    """Return the names of all images under a folder, relative to it, sorted; hidden ones not."""
    relative = (PurePosixPath(path.relative_to(root).as_posix()) for path in root.rglob("*"))
    return sorted(
        str(path)
        for path in relative
        if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path)
    )


def image_entry(root: Path, file_name: str) -> ImageEntry:
    """Return a picture's size as shown, and its EXIF orientation, from its header.

    Raises:
        UserError: the picture is missing, is none, or is larger than any picture that is read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(root / file_name) as image:
            orientation = orientation_of(image)
            return ImageEntry(file_name, shown_size(image.size, orientation), orientation)
    except FileNotFoundError:
        raise UserError(
            "the image does not exist",
            where=root / file_name,
            expected="an image for each annotation",
            next_step="give the folder that file names are relative to with --data",
        ) from None
    except UnidentifiedImageError:
        raise UserError("the file is not an image", where=root / file_name) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"the image cannot be read ({error})", where=root / file_name) from None


def found_name(
    name: str, root: Path, counts: Counter[str], where: str | Path, *, complete: bool = False
) -> str:
    """Return the name below the image root that a name of another tool means.

    A usable name is returned as it is, whether or not its picture is there. Of a name with
    backslashes, of an absolute path and of an address, that part is taken for which a picture is
    there, the longest such part.

    Args:
        name: as in the file.
        root: folder of the pictures.
        counts: raised where a name was changed.
        where: for the message.
        complete: give a name without ending that of the picture that is there.

    Raises:
        UserError: the name cannot be used and no picture is found for it.
    """
    is_address = "://" in name
    fault = None if is_address else name_fault(name)
    if fault is None and not is_address:
        return _completed(name, root, counts, where) if complete else name
    path = unquote(urlsplit(name).path) if is_address else name.replace("\\", "/")
    parts = [part for part in path.split("/") if part]
    for start in range(len(parts)):
        candidate = "/".join(parts[start:])
        if name_fault(candidate) is None and (root / candidate).is_file():
            counts[BACKSLASHES if start == 0 and not is_address and "\\" in name else CUT] += 1
            return candidate
    if is_address:
        return name
    raise UserError(
        f"the file name {name!r} {fault}, and no part of it is a picture below --data",
        where=where,
        expected=f"a path relative to {root}, folders separated by /",
        next_step="give the folder that holds the pictures with --data",
    )


def _completed(name: str, root: Path, counts: Counter[str], where: str | Path) -> str:
    if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES or (root / name).is_file():
        return name
    endings = [*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)]
    found = [name + ending for ending in endings if (root / (name + ending)).is_file()]
    if len(found) != 1:
        raise UserError(
            f"there is no picture {name}.jpg (or of another ending)"
            if not found
            else f"the name {name} stands for {len(found)} pictures: {', '.join(found)}",
            where=where,
            expected=f"one picture of that name in {root}",
            next_step="give the folder that holds the pictures with --data",
        )
    counts[COMPLETED] += 1
    return found[0]
