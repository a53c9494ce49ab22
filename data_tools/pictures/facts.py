"""Facts about image files: readable, size, orientation, content hash, perceptual hash."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from data_tools.pictures.orientation import UPRIGHT, orientation_of

if TYPE_CHECKING:
    from PIL import Image

Pixels = Literal["all", "reduced", "none"]

# Two pictures whose 64-bit perceptual hashes differ in at most this many bits count as the same.
# A re-saved or resized copy differs in 0 to 2, different sample scenes in 10 and more (measured).
NEAR_DUPLICATE_BITS = 4
# A picture whose grey levels vary by less has no looks to compare: all plain colours share a hash.
PLAIN_STD = 1.0
# Modes of Pillow with more than eight bits a channel.
_DEEP_MODES = ("I", "F")
# Perceptual hashes look at 32 x 32 pixels.
REDUCED_SIDE = 64
TOO_LARGE = "too large: more than 178 million pixels, as a header of a few bytes can claim"
_CHUNK = 2048


@dataclass(frozen=True)
class ImageFacts:
    """What is known of one image file.

    Attributes:
        file_name: name relative to the data root.
        problem: why it cannot be used ("missing", "cannot be decoded: ..."); None if it can.
        size_wh: pixels as stored, before any rotation by EXIF; None if its header cannot be read.
        orientation: EXIF orientation, 1 to 8; 1 is upright, and so are values that mean nothing.
        sha256: hash of the file's bytes; None if missing.
        hash_bits: 64 booleans of the perceptual hash; None unless decoded, or of a plain colour.
        brightest: greatest value of a picture of 16 bits a channel; None of others.
    """

    file_name: str
    problem: str | None = None
    size_wh: tuple[int, int] | None = None
    orientation: int = UPRIGHT
    sha256: str | None = None
    hash_bits: tuple[bool, ...] | None = None
    brightest: int | None = None


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
    facts = ImageFacts(file_name, sha256=sha256)
    try:
        with Image.open(io.BytesIO(content)) as image:
            facts = replace(facts, size_wh=image.size, orientation=orientation_of(image))
            return facts if pixels == "none" else _with_looks(facts, image, pixels)
    except UnidentifiedImageError:
        kind = "an empty file" if not content else "no kind of image that is known"
        return replace(facts, problem=f"cannot be decoded: {kind}")
    # Pillow's decoders raise a wide set on broken files; SyntaxError is its "broken PNG".
    except Image.DecompressionBombError:
        return replace(facts, problem=TOO_LARGE)
    except (OSError, ValueError, SyntaxError) as error:
        return replace(facts, problem=f"cannot be decoded: {error}")


def _with_looks(facts: ImageFacts, image: Image.Image, pixels: Pixels) -> ImageFacts:
    if pixels == "reduced":
        image.draft("L", (REDUCED_SIDE, REDUCED_SIDE))
    image.load()
    if not image.mode.startswith(_DEEP_MODES):
        return replace(facts, hash_bits=_perceptual_bits(image))
    levels = np.asarray(image, dtype=np.float64)
    return replace(
        facts, hash_bits=_perceptual_bits(_in_eight_bits(levels)), brightest=int(levels.max())
    )


def _in_eight_bits(levels: np.ndarray) -> Image.Image:
    """Return grey levels stretched from darkest to brightest; Pillow would clip them at 255."""
    from PIL import Image

    span = float(np.ptp(levels)) or 1.0
    return Image.fromarray(((levels - levels.min()) * (255 / span)).astype(np.uint8))


def _perceptual_bits(image: Image.Image) -> tuple[bool, ...] | None:
    import imagehash
    from PIL import Image

    # What the hash looks at: all that is smaller than this is not seen by it.
    seen = image.convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    if np.asarray(seen, dtype=np.float64).std() < PLAIN_STD:
        return None
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
