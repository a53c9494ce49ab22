"""One picture: saved from what decodes of it, turned, or freed of its EXIF mark."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from data_tools.pictures.orientation import UPRIGHT, orientation_of

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION_TAG = 0x0112
# What decoders leave where data ran out: middle grey in JPEG, black in other formats.
_JPEG_FILLING, _OTHER_FILLING = 128, 0


def rescued(content: bytes) -> tuple[bytes, float] | None:
    """Return a whole file of what decodes of a broken one, and the share of rows that is missing.

    None if nothing decodes. Rows count as missing from the bottom, as far as they are filled with
    what the decoder puts in place of data.
    """
    from PIL import Image

    try:
        with _truncation_allowed(), Image.open(io.BytesIO(content)) as image:
            image.load()
            filling = _JPEG_FILLING if image.format == "JPEG" else _OTHER_FILLING
            rows = np.asarray(image).reshape(image.height, -1)
            written = np.flatnonzero((rows != filling).any(axis=1))
            if not len(written):
                return None
            missing = 1 - (int(written[-1]) + 1) / image.height
            return _encoded(image, image, orientation_of(image)), missing
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def turned(content: bytes) -> bytes:
    """Return the picture with its pixels turned as its EXIF mark says, and without the mark."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as image:
        return _encoded(ImageOps.exif_transpose(image), image, UPRIGHT)


def without_mark(content: bytes) -> bytes:
    """Return the picture with the same pixels, marked as upright.

    Of a JPEG file only the mark changes; other formats are written anew without loss.
    """
    from PIL import Image

    changed = _upright_jpeg(content)
    if changed is not None:
        return changed
    with Image.open(io.BytesIO(content)) as image:
        return _encoded(image, image, UPRIGHT)


@contextmanager
def _truncation_allowed() -> Iterator[None]:
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _encoded(picture: Image.Image, original: Image.Image, orientation: int) -> bytes:
    """Return a file in the original's format, with its quality and colour profile."""
    from PIL import Image, JpegImagePlugin

    options: dict[str, Any] = {"icc_profile": original.info.get("icc_profile")}
    if original.format == "JPEG":
        options["qtables"] = original.quantization  # type: ignore[attr-defined] # of JPEG files
        options["subsampling"] = JpegImagePlugin.get_sampling(original)
    elif original.format == "WEBP":
        options["lossless"] = True
    if orientation != UPRIGHT:
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = orientation
        options["exif"] = exif
    else:
        options["exif"] = b""
    buffer = io.BytesIO()
    picture.save(buffer, original.format, **options)
    return buffer.getvalue()


def _upright_jpeg(content: bytes) -> bytes | None:
    """Return a JPEG file whose EXIF orientation says upright; None if it has no such entry."""
    start = content.find(b"Exif\0\0", 0, 1 << 17)
    if not content.startswith(b"\xff\xd8") or start < 0:
        return None
    header = start + 6
    order = {b"II": "<", b"MM": ">"}.get(content[header : header + 2])
    if order is None:
        return None
    try:
        (offset,) = struct.unpack_from(f"{order}I", content, header + 4)
        (entries,) = struct.unpack_from(f"{order}H", content, header + offset)
        for number in range(entries):
            entry = header + offset + 2 + 12 * number
            (tag,) = struct.unpack_from(f"{order}H", content, entry)
            if tag == _ORIENTATION_TAG:
                changed = bytearray(content)
                struct.pack_into(f"{order}H", changed, entry + 8, UPRIGHT)
                return bytes(changed)
    except struct.error:
        return None
    return None
