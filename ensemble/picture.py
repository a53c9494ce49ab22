"""One image before and after fusing, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file
from ensemble.explain import Explanation, class_names

if TYPE_CHECKING:
    from PIL.Image import Image

# Wong's palette: told apart by most colour-blind readers.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")
MARGIN = 24
# Detectors list dozens of boxes that they hardly believe in; drawn, they would hide the rest.
LOWEST_DRAWN_SCORE = 0.15
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def write_picture(
    path: str | Path,
    explanation: Explanation,
    dataset: CocoDataset,
    data_root: str | Path,
    *,
    lowest_score: float = LOWEST_DRAWN_SCORE,
) -> None:
    """Draw the members' boxes (left, a colour per member) and the fused ones (right, with scores).

    Args:
        path: picture to write; the suffix chooses the format.
        explanation: from `explain_image`.
        dataset: names of the classes.
        data_root: folder that the image's `file_name` is relative to.
        lowest_score: boxes below it, before and after, are not drawn; the picture says so.

    Raises:
        UserError: the image is missing or broken, or the suffix is no picture's.
    """
    from PIL import Image, ImageDraw

    check_picture_path(path)
    image = _open_image(Path(data_root) / explanation.file_name)
    names = class_names(dataset)
    members = sorted({box.member for fused in explanation.fused for box in fused.boxes})
    colour_of = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(members)}
    width, height = image.size
    canvas = Image.new("RGB", (2 * width, height + MARGIN * max(1, len(members))), "white")
    canvas.paste(image, (0, 0))
    canvas.paste(image, (width, 0))
    draw = ImageDraw.Draw(canvas)
    for fused in explanation.fused:
        for box in fused.boxes:
            if box.score >= lowest_score:
                draw.rectangle(_corners(box.box_xyxy), outline=colour_of[box.member], width=2)
    drawn = [fused for fused in explanation.fused if fused.score >= lowest_score]
    for fused in reversed(drawn):
        corners = _corners(fused.box_xyxy, shift=width)
        colour = COLOURS[fused.label % len(COLOURS)]
        draw.rectangle(corners, outline=colour, width=2)
        text = f"{names.get(fused.label, fused.label)} {fused.score:.2f}"
        draw.text((corners[0] + 3, corners[1] + 2), text, fill=colour)
    for line, name in enumerate(members):
        draw.text((6, height + line * MARGIN + 5), name, fill=colour_of[name])
    legend = f"{len(drawn)} of {len(explanation.fused)} fused boxes: score {lowest_score} and above"
    draw.text((width + 6, height + 5), legend, fill="black")
    with whole_file(path) as temporary:
        canvas.save(temporary)


def check_picture_path(path: str | Path) -> None:
    """Refuse a file name whose suffix is not a picture's."""
    if Path(path).suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(
            f"{Path(path).name!r} is no name for a picture",
            expected="a file ending in " + ", ".join(PICTURE_SUFFIXES),
        )


def _open_image(path: Path) -> Image:
    from PIL import Image as images

    try:
        with images.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise UserError(
            "the image does not exist",
            where=path,
            next_step="give --data, the folder that `file_name` is relative to",
        ) from None
    except (OSError, ValueError, SyntaxError, images.DecompressionBombError) as error:
        raise UserError(f"the image cannot be read ({error})", where=path) from None


def _corners(box_xyxy: tuple[float, ...], shift: int = 0) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box_xyxy
    return min(x1, x2) + shift, min(y1, y2), max(x1, x2) + shift, max(y1, y2)
