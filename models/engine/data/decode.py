"""Image files to pixels: checked against the annotations, at reduced size where that suffices."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from data_tools.ground.errors import UserError
from data_tools.pictures.facts import image_facts
from data_tools.pictures.orientation import TURN_PICTURES, UPRIGHT, is_annotated_as_shown
from models.engine.data.resample import average_down
from models.engine.data.table import AnnotationTable

MAX_UPSAMPLING = 1.05
"""A reduced image may be enlarged by this factor; five percent cannot be told from a full one."""

_READ_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class Picture(NamedTuple):
    """Decoded pixels.

    Attributes:
        pixels: (H, W, 3) uint8, blue, green, red.
        reduction: how many pixels of the file one pixel spans, along each side.
    """

    pixels: np.ndarray
    reduction: int

    def reduced(self, reduction: int) -> Picture:
        """Return the picture at a reduction that is a multiple of its own."""
        if reduction == self.reduction:
            return self
        return Picture(average_down(self.pixels, reduction // self.reduction), reduction)


def choose_reduction(scale: float) -> int:
    """Return the largest of 1, 2, 4, 8 by which a file may be decoded smaller.

    Args:
        scale: size at which the image will be shown, relative to its file.
    """
    wanted = MAX_UPSAMPLING / scale
    return max(factor for factor in _READ_FLAGS if factor <= max(wanted, 1))


def read_picture(
    path: Path,
    size_wh: tuple[int, int],
    reduction: int = 1,
    window: tuple[int, int] | None = None,
) -> Picture:
    """Decode an image file as three 8-bit channels.

    Grey, 16-bit and transparent files are converted; 16-bit values to value / 256 where no window
    is given. An orientation tag is not applied: COCO boxes
    refer to the pixels as stored. JPEG files are decoded at reduced size, which saves the decoder
    work; others are decoded in full and averaged.

    Args:
        path: the file.
        size_wh: width and height that the annotations state.
        reduction: 1, 2, 4 or 8, see `choose_reduction`.
        window: values of 16-bit pictures that become 0 and 255; pictures of 8 bits stay as they
            are.

    Raises:
        UserError: the file is missing, cannot be decoded whole, or is of another size.
    """
    content = _read_bytes(path)
    factor = reduction if content[:2].tobytes() == b"\xff\xd8" else 1
    flags = _READ_FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    if window is not None and factor == 1:
        flags |= cv2.IMREAD_ANYDEPTH
    try:
        pixels = cv2.imdecode(content, flags) if len(content) else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(
            "the image cannot be decoded",
            where=path,
            expected="a complete image file",
            next_step="python -m data_tools repair DATA --out NEW saves what decodes of it; or put "
            "the whole file there",
        )
    if window is not None and pixels.dtype != np.uint8:
        pixels = in_window(pixels, window)
    _check_size(pixels, size_wh, factor, content, path)
    return Picture(pixels, factor).reduced(reduction)


def in_window(levels: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Return deep pixels as uint8: the window's ends become 0 and 255, what lies beyond is cut."""
    low, high = window
    return np.clip((levels.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(
        np.uint8
    )


def _read_bytes(path: Path) -> np.ndarray:
    try:
        return np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise UserError(
            "the image does not exist",
            where=path,
            expected="the file named by `file_name`, relative to the data root",
            next_step="check --data, or that all images were unpacked",
        ) from None
    except OSError as error:
        raise UserError(f"the image cannot be read ({error.strerror})", where=path) from None


def _check_size(
    pixels: np.ndarray, size_wh: tuple[int, int], factor: int, content: np.ndarray, path: Path
) -> None:
    height, width = pixels.shape[:2]
    if (width, height) == tuple(-(-side // factor) for side in size_wh):
        return
    full = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    full_height, full_width = (pixels if full is None else full).shape[:2]
    orientation = image_facts(path.parent, path.name, pixels="none").orientation
    raise wrong_size((full_width, full_height), size_wh, path, orientation)


def wrong_size(
    found_wh: tuple[int, int], stated_wh: tuple[int, int], path: Path, orientation: int = UPRIGHT
) -> UserError:
    """Return the error for an image of another size than its annotations state.

    Args:
        found_wh: size of the pixels as stored.
        stated_wh: `width` and `height`.
        path: the file.
        orientation: its EXIF orientation, 1 to 8.
    """
    if is_annotated_as_shown(stated_wh, found_wh, orientation):
        return UserError(
            f"the image is stored as {found_wh[0]} x {found_wh[1]} pixels and annotated as "
            f"{stated_wh[0]} x {stated_wh[1]}, turned by its EXIF orientation {orientation}",
            where=path,
            expected="pixels stored as they were annotated",
            next_step=TURN_PICTURES,
        )
    return UserError(
        f"the image is {found_wh[0]} x {found_wh[1]} pixels, "
        f"its annotations say {stated_wh[0]} x {stated_wh[1]}",
        where=path,
        expected="width and height of the pixels as stored (an EXIF orientation is not applied)",
        next_step="correct `width` and `height`, or put back the image that was annotated",
    )


class PictureCache:
    """Decoded pictures up to a number of bytes; the least recently used go first.

    The cache only saves time: what a sample looks like never depends on it.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self._pictures: OrderedDict[int, Picture] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pictures)

    def get(self, index: int) -> Picture | None:
        """Return the picture of an image, or None."""
        if index not in self._pictures:
            return None
        self._pictures.move_to_end(index)
        return self._pictures[index]

    def put(self, index: int, picture: Picture) -> None:
        """Keep a picture; one larger than the whole cache is not kept."""
        if index in self._pictures or picture.pixels.nbytes > self.capacity_bytes:
            return
        # The pixels are shared by all who ask for them.
        picture.pixels.setflags(write=False)
        self._pictures[index] = picture
        self.used_bytes += picture.pixels.nbytes
        while self.used_bytes > self.capacity_bytes:
            _, oldest = self._pictures.popitem(last=False)
            self.used_bytes -= oldest.pixels.nbytes

    def clear(self) -> None:
        """Give the memory back."""
        self._pictures.clear()
        self.used_bytes = 0


class PictureLoader:
    """Pictures by their position in the dataset, through a cache for those shown again soon.

    Args:
        table: the dataset.
        image_root: folder that file names are relative to.
        cache_bytes: memory for decoded images, divided among the worker processes.
        window: of 16-bit pictures, see `read_picture`.
    """

    def __init__(
        self,
        table: AnnotationTable,
        image_root: Path,
        cache_bytes: int,
        window: Sequence[int] | None = None,
    ) -> None:
        self.window = None if window is None else (int(window[0]), int(window[1]))
        self.table, self.image_root, self.cache_bytes = table, Path(image_root), cache_bytes
        self._cache: PictureCache | None = None

    @property
    def cache(self) -> PictureCache:
        """This process's cache."""
        if self._cache is None:
            worker = torch.utils.data.get_worker_info()
            self._cache = PictureCache(self.cache_bytes // (worker.num_workers if worker else 1))
        return self._cache

    def load(self, index: int, scale: float) -> Picture:
        """Return image `index`, decoded large enough to be shown at `scale` of its file's size."""
        return self._read(index, choose_reduction(scale))

    def load_shared(
        self, index: int, scale: float, *, kept_scale: float, decode_scale: float
    ) -> Picture:
        """Return an image that other samples will soon show as well; decode it once for all.

        It is decoded as large as any sample needs it and kept as large as partners need it. The
        path from file to pixels is always the same, whether the cache has the picture or not.

        Args:
            index: position in the dataset.
            scale: wanted size relative to the file.
            kept_scale: size at which the picture is kept.
            decode_scale: size at which the file is decoded, at least `kept_scale`.
        """
        wanted, kept, decoded = map(choose_reduction, (scale, kept_scale, decode_scale))
        if wanted < kept:
            picture = self._read(index, wanted)
            if wanted == decoded and self.cache.get(index) is None:
                self.cache.put(index, picture.reduced(kept))
            return picture
        cached = self.cache.get(index)
        if cached is None:
            cached = self._read(index, decoded).reduced(kept)
            self.cache.put(index, cached)
        return cached.reduced(wanted)

    def _read(self, index: int, reduction: int) -> Picture:
        path = self.image_root / str(self.table.file_names[index])
        return read_picture(path, self.table.size_wh(index), reduction, self.window)
