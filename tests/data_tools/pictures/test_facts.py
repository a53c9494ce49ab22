"""Facts about image files, and pictures that are the same."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from data_tools.pictures.facts import (
    ImageFacts,
    image_facts,
    near_duplicates,
    read_image_facts,
    same_content,
)


def picture(seed: int, side: int = 128) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def hashed(bits: list[int]) -> ImageFacts:
    """Facts whose 64-bit hash has these bits set."""
    return ImageFacts("x", hash_bits=tuple(k in bits for k in range(64)))


def test_no_images_have_no_duplicates():
    assert near_duplicates([]) == []
    assert same_content([]) == []


@pytest.mark.parametrize("pixels", ["all", "reduced", "none"])
def test_a_sound_image(tmp_path, pixels):
    (tmp_path / "a.jpg").write_bytes(jpeg(picture(0)[:96]))
    facts = image_facts(tmp_path, "a.jpg", pixels=pixels)
    assert (facts.problem, facts.size_wh, facts.orientation) == (None, (128, 96), 1)
    assert (facts.hash_bits is None) == (pixels == "none")


def test_missing_broken_and_truncated(tmp_path):
    whole = jpeg(picture(0))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    names = ["gone.jpg", "text.jpg", "cut.jpg", "empty.jpg", "folder.jpg"]
    problems = [fact.problem for fact in read_image_facts(tmp_path, names)]
    assert problems[0] == "missing"
    assert all(text.startswith("cannot be decoded: ") for text in problems[1:4])
    assert problems[1] == "cannot be decoded: no kind of image that is known"
    assert problems[3] == "cannot be decoded: an empty file"
    assert problems[4].startswith("unreadable")


def test_a_truncated_image_passes_the_header_check_only(tmp_path):
    whole = jpeg(picture(0))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert image_facts(tmp_path, "cut.jpg", pixels="none").problem is None


def test_exif_orientation_is_seen_and_does_not_turn_the_size(tmp_path):
    image, exif = Image.fromarray(picture(0)[:96]), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    facts = image_facts(tmp_path, "a.jpg", pixels="all")
    assert (facts.orientation, facts.size_wh) == (6, (128, 96))


def test_equal_bytes_are_grouped():
    facts = [ImageFacts(name, sha256=digest) for name, digest in zip("abcde", "xyxzx", strict=True)]
    assert same_content([*facts, ImageFacts("f"), ImageFacts("g")]) == [[0, 2, 4]]


def test_hamming_distance_at_the_limit():
    # Against no bits set: 4 bits differ (alike), 5 bits differ (not); 4 and 5 differ in 1 (alike).
    facts = [hashed([]), hashed([0, 1, 2, 3]), ImageFacts("none"), hashed([0, 1, 2, 3, 4])]
    assert near_duplicates(facts, max_bits=4) == [(0, 1), (1, 3)]
    assert near_duplicates(facts, max_bits=0) == []


def test_pairs_agree_with_counting_bits():
    rng = np.random.default_rng(0)
    rows = rng.random((60, 64)) < 0.5
    rows[30:] = rows[:30] ^ (rng.random((30, 64)) < 0.06)
    facts = [ImageFacts("x", hash_bits=tuple(row.tolist())) for row in rows]
    expected = [
        (i, j) for i in range(60) for j in range(i + 1, 60) if (rows[i] ^ rows[j]).sum() <= 4
    ]
    assert expected
    assert near_duplicates(facts) == expected


def test_more_images_than_one_chunk(monkeypatch):
    monkeypatch.setattr("data_tools.pictures.facts._CHUNK", 2)
    facts = [hashed([0, 1, 2, 3, 4, 5]), hashed([9] * 1), hashed([20, 21, 22, 23, 24]), hashed([])]
    assert near_duplicates([*facts, hashed([0])], max_bits=2) == [(1, 3), (1, 4), (3, 4)]


@pytest.mark.parametrize("pixels", ["all", "reduced"])
def test_copies_are_found_and_other_pictures_are_not(tmp_path, pixels):
    original = picture(0, 256)
    buffer = io.BytesIO()
    Image.fromarray(original[..., ::-1]).save(buffer, "PNG")
    files = {
        "original.jpg": jpeg(original),
        "worse.jpg": jpeg(original, 40),
        "smaller.jpg": jpeg(cv2.resize(original, (128, 128), interpolation=cv2.INTER_AREA)),
        "brighter.jpg": jpeg(cv2.convertScaleAbs(original, alpha=0.85, beta=20)),
        "same.png": buffer.getvalue(),
        **{f"other{seed}.jpg": jpeg(picture(seed, 256)) for seed in range(1, 20)},
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    facts = read_image_facts(tmp_path, list(files), pixels=pixels)
    assert near_duplicates(facts) == [(i, j) for i in range(5) for j in range(i + 1, 5)]


def deep(seed: int, low: int, high: int) -> bytes:
    """A 16-bit grey PNG whose values lie between two limits."""
    coarse = np.random.default_rng(seed).uniform(low, high, (6, 6)).astype(np.uint16)
    return cv2.imencode(".png", cv2.resize(coarse, (64, 48)))[1].tobytes()


@pytest.mark.parametrize(("low", "high"), [(900, 3200), (20_000, 60_000)])
@pytest.mark.parametrize("pixels", ["all", "reduced"])
def test_different_pictures_of_12_or_16_bits_are_no_duplicates(tmp_path, low, high, pixels):
    """Pillow clips such values at 255, so that all of them had one hash."""
    for seed in range(6):
        (tmp_path / f"{seed}.png").write_bytes(deep(seed, low, high))
    facts = read_image_facts(tmp_path, [f"{seed}.png" for seed in range(6)], pixels=pixels)
    assert near_duplicates(facts) == []
    assert all(low <= fact.brightest <= high for fact in facts)


def test_a_deep_picture_is_alike_to_a_darker_copy(tmp_path):
    bright = cv2.imdecode(np.frombuffer(deep(1, 20_000, 60_000), np.uint8), cv2.IMREAD_UNCHANGED)
    for name, pixels in (("a.png", bright), ("b.png", bright // 16)):
        (tmp_path / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    assert near_duplicates(read_image_facts(tmp_path, ["a.png", "b.png"])) == [(0, 1)]


def test_plain_colours_are_no_duplicates_of_each_other(tmp_path):
    for value in (0, 90, 200):
        (tmp_path / f"{value}.png").write_bytes(
            cv2.imencode(".png", np.full((64, 64, 3), value, np.uint8))[1].tobytes()
        )
    facts = read_image_facts(tmp_path, ["0.png", "90.png", "200.png", "200.png"])
    assert [fact.hash_bits for fact in facts] == [None] * 4
    assert near_duplicates(facts) == []
    assert same_content(facts) == [[2, 3]]


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientations_that_mean_nothing_are_upright(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(picture(0)).save(tmp_path / "a.jpg", exif=exif)
    assert image_facts(tmp_path, "a.jpg", pixels="none").orientation == 1


def test_a_header_that_claims_too_many_pixels(tmp_path):
    whole = bytearray(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    whole[16:24] = (20_000).to_bytes(4, "big") * 2
    whole[29:33] = zlib.crc32(bytes(whole[12:29])).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(whole)
    facts = image_facts(tmp_path, "a.png", pixels="all")
    assert facts.problem.startswith("too large: more than 178 million pixels")
