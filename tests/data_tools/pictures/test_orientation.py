"""EXIF orientation against Pillow: each of the eight, with pixels and boxes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from data_tools.pictures.orientation import (
    boxes_as_stored,
    is_annotated_as_shown,
    orientation_of,
    shown_size,
)


def stored(orientation: int, format_name: str = "JPEG") -> Image.Image:
    """A picture of 16 x 10 pixels with this tag; a block of 4 x 3 at (8, 2) is white."""
    pixels = np.zeros((10, 16), np.uint8)
    pixels[2:5, 8:12] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_name, exif=exif, quality=100)
    return Image.open(io.BytesIO(buffer.getvalue()))


def white_block(picture: Image.Image) -> list[int]:
    rows, columns = np.nonzero(np.asarray(picture) > 128)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_no_boxes_stay_none():
    assert boxes_as_stored(np.zeros((0, 4)), 6, (16, 10)).shape == (0, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_go_back_from_the_picture_that_pillow_shows(orientation):
    picture = stored(orientation)
    assert orientation_of(picture) == orientation
    shown = ImageOps.exif_transpose(picture)
    assert shown.size == shown_size((16, 10), orientation)
    back = boxes_as_stored(np.array([white_block(shown)]), orientation, (16, 10))
    assert back.tolist() == [[8, 2, 12, 5]]


def test_a_box_by_hand():
    # Stored 160 x 120, shown 120 x 160 after a quarter turn: what is at the top left when shown
    # is at the bottom left as stored; y 0 to 40 becomes x, x 0 to 60 becomes 120 - 60 to 120.
    assert boxes_as_stored(np.array([[0, 0, 60, 40]]), 6, (160, 120)).tolist() == [[0, 60, 40, 120]]


@pytest.mark.parametrize("value", [0, 9, 65537])
def test_values_that_mean_nothing_are_upright(value):
    picture = Image.new("L", (4, 4))
    picture.getexif()[0x0112] = value
    assert orientation_of(picture) == 1


def test_which_frame_a_size_belongs_to():
    assert is_annotated_as_shown((10, 16), (16, 10), 6)
    assert not is_annotated_as_shown((16, 10), (16, 10), 6)
    assert not is_annotated_as_shown((10, 16), (16, 10), 1)  # no tag explains it
    assert not is_annotated_as_shown((16, 10), (16, 10), 3)  # the same in both
