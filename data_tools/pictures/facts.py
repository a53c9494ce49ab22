"""Facts about image files: readable, size, orientation, content hash, perceptual hash."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Pixels = Literal["all", "reduced", "none"]

# Two pictures whose 64-bit perceptual hashes differ in at most this many bits count as the same.
# A re-saved or resized copy differs in 0 to 2, different sample scenes in 10 and more (measured).
NEAR_DUPLICATE_BITS = 4
EXIF_ORIENTATION = 0x0112
# Perceptual hashes look at 32 x 32 pixels.
REDUCED_SIDE = 64
_CHUNK = 2048


@dataclass(frozen=True)
class ImageFacts:
    """What is known of one image file.

    Attributes:
        file_name: name relative to the data root.
        problem: why it cannot be used ("missing", "cannot be decoded: ..."); None if it can.
        size_wh: pixels as stored, before any rotation by EXIF; None if unreadable.
        orientation: EXIF orientation; 1 is upright.
        sha256: hash of the file's bytes; None if missing.
        hash_bits: 64 booleans of the perceptual hash; None unless decoded.
    """

    file_name: str
    problem: str | None = None
    size_wh: tuple[int, int] | None = None
    orientation: int = 1
    sha256: str | None = None
    hash_bits: tuple[bool, ...] | None = None


def read_image_facts(
    root: Path,
    file_names: Sequence[str],
    *,
    pixels: Pixels = "all",
    tick: Callable[[], None] = lambda: None,
) -> list[ImageFacts]:
    """Read each file once, on all cores.

    Args:
        root: data root.
        file_names: names relative to it.
        pixels: "all" decodes every pixel and hashes what is seen; "reduced" decodes JPEG at a
            fraction of its size, in less than half the time, which is enough to hash;
            "none" reads the header only.
        tick: called after each file.

    Returns:
        One entry per name, in order.
    """

    facts = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for entry in pool.map(lambda name: image_facts(root, name, pixels=pixels), file_names):
            facts.append(entry)
            tick()
    return facts


def image_facts(root: Path, file_name: str, *, pixels: Pixels) -> ImageFacts:
    """Return the facts of one file; a broken file is a fact, not an exception."""
    from PIL import Image, UnidentifiedImageError

    try:
        content = (root / file_name).read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return ImageFacts(file_name, "missing" if missing else f"unreadable: {error.strerror}")
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            orientation = int(image.getexif().get(EXIF_ORIENTATION, 1))
            size_wh = image.size
            bits = None if pixels == "none" else _perceptual_bits(image, pixels)
            return ImageFacts(file_name, None, size_wh, orientation, sha256, bits)
    except UnidentifiedImageError:
        kind = "an empty file" if not content else "no kind of image that is known"
        return ImageFacts(file_name, f"cannot be decoded: {kind}", sha256=sha256)
    # Pillow's decoders raise a wide set on broken files; SyntaxError is its "broken PNG".
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return ImageFacts(file_name, f"cannot be decoded: {error}", sha256=sha256)


def _perceptual_bits(image: Image.Image, pixels: Pixels) -> tuple[bool, ...]:
    import imagehash

    if pixels == "reduced":
        image.draft("L", (REDUCED_SIDE, REDUCED_SIDE))
    image.load()
    return tuple(imagehash.phash(image).hash.ravel().tolist())


def same_content(facts: Sequence[ImageFacts]) -> list[list[int]]:
    """Return groups of two or more positions whose files are equal byte for byte."""
    positions: dict[str, list[int]] = {}
    for position, entry in enumerate(facts):
        if entry.sha256 is not None:
            positions.setdefault(entry.sha256, []).append(position)
    return [group for group in positions.values() if len(group) > 1]


def near_duplicates(
    facts: Sequence[ImageFacts], max_bits: int = NEAR_DUPLICATE_BITS
) -> list[tuple[int, int]]:
    """Return the pairs (i < j) of positions that look alike, equal files included.

    Args:
        facts: decoded images; those without a hash pair with nothing.
        max_bits: greatest Hamming distance of the 64-bit hashes.
    """
    hashed = [position for position, entry in enumerate(facts) if entry.hash_bits is not None]
    # With bits as +1 and -1, the scalar product of two hashes is 64 - 2 * their distance.
    signs = np.array([facts[p].hash_bits for p in hashed], np.float32).reshape(-1, 64) * 2 - 1
    pairs = []
    for start in range(0, len(signs), _CHUNK):
        alike = signs[start : start + _CHUNK] @ signs.T >= 64 - 2 * max_bits
        for row, column in np.argwhere(alike).tolist():
            if start + row < column:
                pairs.append((hashed[start + row], hashed[column]))
    return pairs
