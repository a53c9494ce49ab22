"""Named views of an image for prediction, and the way back for their boxes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from data_tools.ground.errors import UserError

VIEW_NAMES = ("plain", "hflip", "vflip", "rot90", "rot180", "rot270", "scaleFACTOR")
_SCALE = re.compile(r"scale(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class View:
    """How an image is shown: scaled, then flipped, then turned.

    Attributes:
        name: as the user wrote it.
        scale: factor on the size that the model was trained with.
        hflip: left-right.
        vflip: upside down.
        quarter_turns: counter-clockwise, 0 to 3.
    """

    name: str = "plain"
    scale: float = 1.0
    hflip: bool = False
    vflip: bool = False
    quarter_turns: int = 0


def parse_view(name: str) -> View:
    """Return the view of a name: one of `VIEW_NAMES`, or several joined by `+`.

    `scale0.8` shows the image at 0.8 of the size. `hflip+scale1.25` combines two views.

    Raises:
        UserError: the name is not a view.
    """
    scale, hflip, vflip, turns = 1.0, False, False, 0
    for part in name.split("+"):
        matched = _SCALE.fullmatch(part)
        if matched and 0.1 <= float(matched[1]) <= 10:
            scale *= float(matched[1])
        elif part in ("hflip", "vflip", "plain") and not (turns and part != "plain"):
            hflip ^= part == "hflip"
            vflip ^= part == "vflip"
        elif part in ("rot90", "rot180", "rot270"):
            turns = (turns + int(part[3:]) // 90) % 4
        else:
            raise UserError(
                f"{name!r} is not a view",
                expected=f"one of {', '.join(VIEW_NAMES)} (FACTOR from 0.1 to 10), or flips, "
                "turns and a scale joined by +",
                next_step="for example --tta hflip --tta scale1.25 --tta hflip+rot90",
            )
    return View(name, scale, hflip, vflip, turns)


def view_pixels(pixels: np.ndarray, view: View) -> np.ndarray:
    """Return an (H, W, 3) image flipped and turned; its scale is not touched."""
    if view.hflip:
        pixels = pixels[:, ::-1]
    if view.vflip:
        pixels = pixels[::-1]
    return np.ascontiguousarray(np.rot90(pixels, view.quarter_turns))


def view_size(resized_wh: tuple[int, int], view: View) -> tuple[int, int]:
    """Return width and height after the turn of an image resized to `resized_wh`."""
    return resized_wh[::-1] if view.quarter_turns % 2 else resized_wh


def boxes_from_view(
    boxes_xyxy: np.ndarray, view: View, original_wh: tuple[int, int], resized_wh: tuple[int, int]
) -> np.ndarray:
    """Map boxes predicted on a view back to the original image.

    Args:
        boxes_xyxy: (N, 4) pixels of the view.
        view: how the image was shown.
        original_wh: size of the image file.
        resized_wh: size after scaling, before the turn.

    Returns:
        (N, 4) float64 pixels of the image file.
    """
    width, height = view_size(resized_wh, view)
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    for _ in range(view.quarter_turns):
        boxes = _mirrored(boxes[:, [1, 0, 3, 2]], 0, height)
        width, height = height, width
    if view.vflip:
        boxes = _mirrored(boxes, 1, height)
    if view.hflip:
        boxes = _mirrored(boxes, 0, width)
    return boxes * np.tile(np.divide(original_wh, resized_wh), 2)


def _mirrored(boxes_xyxy: np.ndarray, axis: int, length: float) -> np.ndarray:
    boxes = boxes_xyxy.copy()
    boxes[:, axis], boxes[:, axis + 2] = (
        length - boxes_xyxy[:, axis + 2],
        length - boxes_xyxy[:, axis],
    )
    return boxes
