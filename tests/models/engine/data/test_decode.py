"""Image files: sizes, kinds, orientation, damage; and the bounded cache."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_tools.ground.errors import UserError
from models.engine.data.decode import (
    Picture,
    PictureCache,
    PictureLoader,
    choose_reduction,
    read_picture,
)
from models.engine.data.table import annotation_table
from tests.builders.drawn_images import draw_images


@pytest.mark.parametrize(
    ("scale", "reduction"),
    [(2.0, 1), (1.0, 1), (0.6, 1), (0.5, 2), (0.3, 2), (0.25, 4), (0.125, 8), (0.01, 8)],
)
def test_reduction_never_enlarges_by_more_than_five_percent(scale, reduction):
    assert choose_reduction(scale) == reduction


@given(st.floats(0.001, 10))
def test_reduced_pixels_suffice(scale):
    reduction = choose_reduction(scale)
    assert reduction == 1 or scale * reduction <= 1.05


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_reduced_jpeg_shows_the_same_picture(tmp_path, reduction):
    draw_images(tmp_path, [(203, 101)])
    full = read_picture(tmp_path / "0.jpg", (203, 101)).pixels
    small = read_picture(tmp_path / "0.jpg", (203, 101), reduction)
    assert small.reduction == reduction
    assert small.pixels.shape == (-(-101 // reduction), -(-203 // reduction), 3)
    whole = full[: 101 // 8 * 8, : 203 // 8 * 8]
    averaged = cv2.resize(
        whole, (whole.shape[1] // reduction, whole.shape[0] // reduction), cv2.INTER_AREA
    )
    difference = small.pixels[: averaged.shape[0], : averaged.shape[1]].astype(int) - averaged
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_other_formats_are_averaged_to_the_same_size(tmp_path, reduction):
    draw_images(tmp_path, [(53, 41)], suffix=".png")
    full = read_picture(tmp_path / "0.png", (53, 41)).pixels
    small = read_picture(tmp_path / "0.png", (53, 41), reduction)
    assert small.reduction == reduction
    assert small.pixels.shape == (-(-41 // reduction), -(-53 // reduction), 3)
    block = full[:reduction, :reduction].mean(axis=(0, 1))
    assert np.abs(small.pixels[0, 0] - block).max() <= 1


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((6, 8), 40, np.uint8),
        np.full((6, 8), 40 * 257, np.uint16),
        np.full((6, 8, 4), 40, np.uint8),
    ],
    ids=["grey", "sixteen bits", "transparent"],
)
def test_any_kind_of_pixels_becomes_three_bytes(tmp_path, pixels):
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    picture = read_picture(tmp_path / "a.png", (8, 6))
    assert picture.pixels.dtype == np.uint8
    assert (picture.pixels == 40).all()


def test_orientation_tag_is_not_applied(tmp_path):
    """Boxes refer to the pixels as stored."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (30, 20, 3), "the tag is there"
    assert read_picture(tmp_path / "a.jpg", (30, 20)).pixels.shape == (20, 30, 3)


def test_other_size_than_annotated_is_an_error_naming_both(tmp_path):
    draw_images(tmp_path, [(60, 40)])
    with pytest.raises(UserError, match=r"60 x 40 pixels, its annotations say 40 x 60"):
        read_picture(tmp_path / "0.jpg", (40, 60))
    with pytest.raises(UserError, match=r"60 x 40 pixels, its annotations say 80 x 40"):
        read_picture(tmp_path / "0.jpg", (80, 40), 2)


@pytest.mark.parametrize("content", [b"", b"not an image", None], ids=["empty", "text", "cut off"])
@pytest.mark.parametrize("reduction", [1, 2])
def test_damaged_file_is_an_error_naming_it(tmp_path, content, reduction):
    draw_images(tmp_path, [(60, 40)])
    path = tmp_path / "0.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UserError, match="cannot be decoded") as caught:
        read_picture(path, (60, 40), reduction)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder_are_errors(tmp_path):
    with pytest.raises(UserError, match="the image does not exist"):
        read_picture(tmp_path / "none.jpg", (60, 40))
    with pytest.raises(UserError, match="the image cannot be read"):
        read_picture(tmp_path, (60, 40))


def test_errors_survive_pickling(tmp_path):
    with pytest.raises(UserError) as caught:
        read_picture(tmp_path / "none.jpg", (60, 40))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def picture_of(size: int) -> Picture:
    return Picture(np.zeros((size,), np.uint8), 1)


def test_empty_cache():
    cache = PictureCache(10)
    assert cache.get(0) is None
    assert (len(cache), cache.used_bytes) == (0, 0)


def test_cache_forgets_the_least_recently_used():
    cache = PictureCache(10)
    for index in range(3):
        cache.put(index, picture_of(3))
    assert cache.get(0) is not None
    cache.put(3, picture_of(3))  # 12 bytes: picture 1 was used longest ago
    assert [cache.get(index) is not None for index in range(4)] == [True, False, True, True]
    assert cache.used_bytes == 9


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 15)), max_size=40))
def test_cache_never_exceeds_its_bytes(puts):
    cache = PictureCache(12)
    for index, size in puts:
        cache.put(index, picture_of(size))
        assert cache.used_bytes <= 12
        assert cache.used_bytes == sum(p.pixels.nbytes for p in cache._pictures.values())


SHARING = [(1.0, 0.5, 1.0), (0.5, 0.5, 1.0), (0.5, 0.5, 0.5), (0.5, 1.0, 1.0), (1.0, 1.0, 1.0)]


@pytest.mark.parametrize(("scale", "kept", "decoded"), SHARING)
@pytest.mark.parametrize("first", [0.25, 0.5, 1.0])
def test_shared_picture_is_the_same_from_file_and_cache(tmp_path, scale, kept, decoded, first):
    table = annotation_table(draw_images(tmp_path, [(65, 63)]))
    fresh = PictureLoader(table, tmp_path, 0)
    loader = PictureLoader(table, tmp_path, 1 << 20)
    sharing = {"kept_scale": kept, "decode_scale": decoded}
    loader.load_shared(0, first, **sharing)
    expected = fresh.load_shared(0, scale, **sharing)
    found = loader.load_shared(0, scale, **sharing)
    assert found.reduction == expected.reduction == choose_reduction(scale)
    assert (found.pixels == expected.pixels).all()


def test_an_image_shown_whole_and_as_a_partner_is_decoded_once(tmp_path):
    table = annotation_table(draw_images(tmp_path, [(64, 64)]))
    loader = PictureLoader(table, tmp_path, 1 << 20)
    whole = loader.load_shared(0, 1.0, kept_scale=0.5, decode_scale=1.0)
    (tmp_path / "0.jpg").unlink()
    half = loader.load_shared(0, 0.5, kept_scale=0.5, decode_scale=1.0)
    assert (whole.pixels.shape, half.pixels.shape) == ((64, 64, 3), (32, 32, 3))
    assert loader.cache.used_bytes == 32 * 32 * 3


def test_kept_pictures_cannot_be_written(tmp_path):
    table = annotation_table(draw_images(tmp_path, [(64, 64)]))
    loader = PictureLoader(table, tmp_path, 1 << 20)
    with pytest.raises(ValueError, match="read-only"):
        loader.load_shared(0, 1.0, kept_scale=1, decode_scale=1).pixels[0, 0] = 0


def test_a_window_spreads_the_values_of_16_bits(tmp_path):
    """12-bit values are 0 to 15 of 255 otherwise: nearly black."""
    levels = np.array([[0, 1024, 2048, 4095]] * 4, np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    assert read_picture(tmp_path / "a.png", (4, 4)).pixels[0, :, 0].tolist() == [0, 4, 8, 15]
    spread = read_picture(tmp_path / "a.png", (4, 4), 1, (0, 4095)).pixels
    # 1024 / 4095 * 255 = 63.8, 2048 / 4095 * 255 = 127.5; cut to whole numbers.
    assert spread.shape == (4, 4, 3)
    assert spread[0, :, 0].tolist() == [0, 63, 127, 255]
    narrow = read_picture(tmp_path / "a.png", (4, 4), 1, (1024, 2048)).pixels
    assert narrow[0, :, 0].tolist() == [0, 0, 255, 255]


def test_a_window_leaves_8_bits_alone(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 100, 255]] * 3, np.uint8))
    pixels = read_picture(tmp_path / "a.png", (3, 3), 1, (0, 4095)).pixels
    assert pixels[0, :, 0].tolist() == [0, 100, 255]


def test_sizes_of_the_turned_picture_are_answered_with_what_turns_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(UserError, match="turned by its EXIF orientation 6") as caught:
        read_picture(tmp_path / "a.jpg", (40, 60))
    assert "data_tools repair DATA --out NEW turns the pictures" in caught.value.next_step
