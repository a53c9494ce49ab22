"""Mosaic and mixup: the layout of mmdet's transforms, drawn at the training size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.data.augment.affine import affine_matrix
from models.engine.data.augment.mosaic import (
    draw_mosaic_centre,
    draw_partners,
    mixup_layer,
    small_mosaic,
    tile_corners,
    warped_mosaic,
)
from models.engine.data.augment.render import Layer, new_canvas, paint, place_boxes
from models.engine.data.decode import Picture
from models.engine.data.geometry import scaling, translation
from models.engine.data.resample import resize
from tests.builders.mmdet_oracle import load_mmdet_transforms

SIZES = [(100, 100), (100, 60), (60, 100), (80, 80)]
KEEP_ALL = {"min_box_px": 0.0, "min_visible": 0.0}


def smooth_pictures(sizes=SIZES) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), size) for size in sizes]


def random_boxes(rng: np.random.Generator, size_wh: tuple[int, int], count: int = 6) -> np.ndarray:
    corners = rng.uniform(0, 1, (count, 2, 2)) * size_wh
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def draw(layers: list[Layer], pictures: list[np.ndarray], canvas_wh) -> np.ndarray:
    canvas = new_canvas(canvas_wh, (114, 114, 114))
    for layer in layers:
        canvas = paint(canvas, Picture(pictures[layer.index], 1), layer)
    return canvas


def carried(layers: list[Layer], boxes: list[np.ndarray], canvas_wh) -> np.ndarray:
    parts = [place_boxes(boxes[layer.index], layer, canvas_wh, **KEEP_ALL) for layer in layers]
    return np.concatenate([placed[keep] for placed, keep in parts])


# Arithmetic


def test_four_images_meet_at_the_centre():
    corners = tile_corners([(10, 20), (30, 5), (7, 9), (4, 4)], (50, 60))
    assert corners == [(50 - 10, 60 - 20), (50, 60 - 5), (50 - 7, 60), (50, 60)]


def test_small_mosaic_shows_each_image_at_half_the_training_size():
    layers = small_mosaic([5, 6, 7, 8], [(100, 100)] * 4, (100, 100), (40, 60))
    assert [layer.index for layer in layers] == [5, 6, 7, 8]
    assert [layer.resized_xywh for layer in layers] == [
        (-10, 10, 50, 50),
        (40, 10, 50, 50),
        (-10, 60, 50, 50),
        (40, 60, 50, 50),
    ]
    assert {layer.decode_scale for layer in layers} == {0.5}
    # The top-left image loses its first 10 columns, that is 20 pixels of its file.
    box, keep = place_boxes(np.array([[0, 0, 40, 100.0]]), layers[0], (100, 100), **KEEP_ALL)
    assert box.tolist() == [[0, 10, 10, 60]]
    assert keep.tolist() == [True]


def test_image_outside_the_warped_canvas_is_not_seen():
    # At twice the size only the first tile of a centred mosaic is left.
    affine = affine_matrix(0, 2, (0, 0), (0, 0))
    layers = warped_mosaic([0, 1, 2, 3], [(64, 64)] * 4, (64, 64), (64, 64), affine, (64, 64))
    assert [layer.is_seen((64, 64)) for layer in layers] == [True, False, False, False]
    _, keep = place_boxes(np.array([[1.0, 1, 9, 9]]), layers[1], (64, 64), **KEEP_ALL)
    assert keep.tolist() == [False]


@given(st.integers(0, 1000), st.integers(1, 9))
def test_centre_lies_between_half_and_one_and_a_half_tiles(seed, tile):
    x, y = draw_mosaic_centre(np.random.default_rng(seed), (100 * tile, 50))
    assert 50 * tile <= x <= 150 * tile
    assert 25 <= y <= 75


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 20), st.booleans())
def test_partners_are_others_from_the_pool(seed, size, count, with_pool):
    rng = np.random.default_rng(seed)
    pool = tuple(range(0, size, 2)) if with_pool else ()
    partners = draw_partners(rng, count, 0, pool, size)
    assert len(partners) == count
    assert set(partners) <= set(pool or range(size))
    if len(pool) > 1:
        assert 0 not in partners
    if len(pool) > count:
        assert len(set(partners)) == count


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(8, 90), st.integers(8, 90)), min_size=4, max_size=4),
    st.tuples(st.integers(16, 80), st.integers(16, 80)),
)
def test_boxes_stay_inside_and_on_their_image(seed, sizes, canvas_wh):
    rng = np.random.default_rng(seed)
    centre = draw_mosaic_centre(rng, (canvas_wh[0] // 2, canvas_wh[1] // 2))
    for layer in small_mosaic([0, 1, 2, 3], sizes, canvas_wh, centre):
        boxes, keep = place_boxes(
            random_boxes(rng, sizes[layer.index]), layer, canvas_wh, min_box_px=1, min_visible=0
        )
        xmin, ymin, xmax, ymax = layer.region(canvas_wh)
        for box in boxes[keep]:
            assert xmin - 1e-3 <= box[0] <= box[2] - 1 + 1e-3
            assert ymin - 1e-3 <= box[1] <= box[3] - 1 + 1e-3
            assert box[2] <= xmax + 1e-3
            assert box[3] <= ymax + 1e-3


@settings(deadline=None)
@given(st.floats(-20, 20), st.floats(0.2, 2), st.floats(-5, 5), st.floats(-9, 9), st.integers(1, 8))
def test_a_painted_rectangle_lands_in_its_box(angle, scale, shear, shift, reduction):
    """A white rectangle drawn into the file is found where its box says, to a pixel."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[32:64, 24:72] = 255
    reduction = max(factor for factor in (1, 2, 4, 8) if factor <= reduction)
    # What a reduced decode gives: the average of every block.
    small = cv2.resize(pixels, (96 // reduction,) * 2, interpolation=cv2.INTER_AREA)
    matrix = affine_matrix(angle, scale, (shear, -shear), (30 + shift, 40 - shift))
    layer = Layer(0, matrix, (0, 0, 96, 96), 1.0)
    canvas = new_canvas((300, 300), (0, 0, 0))
    canvas = paint(canvas, Picture(small, reduction), layer)
    box, _ = place_boxes(np.array([[24.0, 32, 72, 64]]), layer, (300, 300), **KEEP_ALL)
    rows, columns = np.nonzero(canvas[..., 0] > 100)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    if box[0].min() > 0 and box[0].max() < 300:
        # Half a pixel of the picture, as it is shown, and rounding. Where it is turned, the box's
        # corner is only the tip of a rectangle.
        tip = 3 if angle or shear else 0
        assert np.abs(np.array(found) - box[0]).max() <= 1.5 + tip + reduction * scale / 2


def test_shrinking_averages_instead_of_skipping():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::4] = 255  # a quarter of the columns
    canvas = new_canvas((16, 16), (0, 0, 0))
    layer = Layer(0, scaling(0.25, 0.25), (0, 0, 64, 64), 1.0)
    middle = paint(canvas, Picture(pixels, 1), layer)[2:-2, 2:-2]
    assert np.abs(middle.astype(int) - 255 // 4).max() <= 1


# mmdet's transforms as the oracle


@pytest.fixture(scope="module")
def mmdet_transforms():
    return load_mmdet_transforms()


class Scripted:
    """Stands in for `numpy.random` inside mmdet: gives the numbers that it was told."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def uniform(self, *limits):
        return self.numbers.pop(0)

    def randint(self, *limits):
        return self.numbers.pop(0)


def mmdet_result(pixels: np.ndarray, boxes: np.ndarray) -> dict:
    from mmdet.structures.bbox import HorizontalBoxes

    count = len(boxes)
    return {
        "img": pixels.copy(),
        "img_shape": pixels.shape[:2],
        "gt_bboxes": HorizontalBoxes(boxes.copy()),
        "gt_bboxes_labels": np.zeros(count, np.int64),
        "gt_ignore_flags": np.zeros(count, bool),
    }


def run_mmdet_mosaic(transforms, monkeypatch, pictures, boxes, tile, centre) -> dict:
    results = [mmdet_result(*pair) for pair in zip(pictures, boxes, strict=True)]
    monkeypatch.setattr(transforms, "random", Scripted(0.0, *((c + 0.5) / tile for c in centre)))
    mosaic = transforms.Mosaic(img_scale=(tile, tile), pad_val=114.0)
    return mosaic.transform({**results[0], "mix_results": results[1:]})


@pytest.mark.parametrize("centre", [(50, 50), (31, 62), (74, 26)])
def test_small_mosaic_is_mmdets_at_half_size(mmdet_transforms, monkeypatch, centre):
    rng = np.random.default_rng(1)
    pictures = smooth_pictures()
    boxes = [random_boxes(rng, size) for size in SIZES]
    theirs = run_mmdet_mosaic(mmdet_transforms, monkeypatch, pictures, boxes, 50, centre)
    layers = small_mosaic([0, 1, 2, 3], SIZES, (100, 100), centre)
    ours = draw(layers, pictures, (100, 100))
    np.testing.assert_allclose(
        carried(layers, boxes, (100, 100)), theirs["gt_bboxes"].tensor.numpy(), atol=1e-4
    )
    assert np.abs(ours.astype(int) - theirs["img"]).max() <= 1


@pytest.mark.parametrize(
    ("angle", "scale", "shear", "shift", "centre"),
    [
        (0.0, 1.0, (0.0, 0.0), (0.0, 0.0), (100, 100)),
        (9.0, 0.6, (1.5, -2.0), (0.1, -0.05), (70, 130)),
        (-7.0, 1.7, (-1.0, 0.5), (-0.1, 0.1), (60, 55)),
    ],
)
def test_warped_mosaic_is_mmdets(mmdet_transforms, monkeypatch, angle, scale, shear, shift, centre):
    rng = np.random.default_rng(2)
    pictures = smooth_pictures()
    boxes = [random_boxes(rng, size) for size in SIZES]
    theirs = run_mmdet_mosaic(mmdet_transforms, monkeypatch, pictures, boxes, 100, centre)
    monkeypatch.setattr(mmdet_transforms, "random", Scripted(angle, scale, *shear, *shift))
    theirs = mmdet_transforms.RandomAffine(border=(-50, -50)).transform(theirs)
    affine = affine_matrix(angle, scale, shear, (100 * shift[0], 100 * shift[1]))
    layers = warped_mosaic([0, 1, 2, 3], SIZES, (100, 100), centre, affine, (100, 100))
    ours = draw(layers, pictures, (100, 100))
    np.testing.assert_allclose(
        carried(layers, boxes, (100, 100)), theirs["gt_bboxes"].tensor.numpy(), atol=1e-2
    )
    # mmdet resamples twice and counts from pixel corners: half a pixel apart on smooth pictures,
    # more along the edges of the four images.
    difference = np.abs(ours.astype(int) - theirs["img"])
    assert np.median(difference) <= 2
    assert (difference > 12).mean() < 0.08


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.6])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("size", SIZES[:3])
def test_mixup_layer_is_mmdets(mmdet_transforms, monkeypatch, factor, flipped, size):
    rng = np.random.default_rng(3)
    first, second = smooth_pictures([(100, 100), size])
    boxes = random_boxes(rng, size)
    box_side = int(100 * factor)
    spare = max(box_side - 100, 0)
    offset = (spare // 3, spare // 2)
    offsets = (offset[1], offset[0]) if spare else ()
    flip_number = 1.0 if flipped else 0.0
    monkeypatch.setattr(mmdet_transforms, "random", Scripted(factor, flip_number, *offsets))
    mixup = mmdet_transforms.MixUp(img_scale=(100, 100), ratio_range=(0.8, 1.6))
    none = np.zeros((0, 4), np.float32)
    results = {**mmdet_result(first, none), "mix_results": [mmdet_result(second, boxes)]}
    theirs = mixup.transform(results)

    class Draws:
        def uniform(self, low, high):
            return factor

        def random(self):
            return 0.0 if flipped else 0.9

        def integers(self, low, high, **_kind):
            return np.array(offset)

    layer = mixup_layer(Draws(), 0, size, (100, 100), (100, 100), (0.8, 1.6), (100, 100))
    ours = cv2.addWeighted(first, 0.5, draw([layer], [second], (100, 100)), 0.5, 0)
    placed, keep = place_boxes(boxes, layer, (100, 100), **KEEP_ALL)
    np.testing.assert_allclose(placed[keep], theirs["gt_bboxes"].tensor.numpy(), atol=1e-2)
    difference = np.abs(ours.astype(int) - theirs["img"])
    assert np.median(difference) <= 1
    assert (difference > 8).mean() < 0.05


@pytest.mark.parametrize(
    "new_wh", [(16, 16), (16, 15), (21, 20), (5, 3), (64, 64), (90, 70), (1, 64)]
)
def test_resizing_keeps_the_mean_colour(new_wh):
    """A fine pattern that bilinear interpolation alone would miss or double."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::4] = 255
    resized = resize(pixels, new_wh)
    assert resized.shape[1::-1] == new_wh
    assert abs(resized.mean() - 255 / 4) < 12


def test_resizing_an_odd_size_keeps_positions():
    pixels = np.zeros((99, 103, 3), np.uint8)
    pixels[:, 51:] = 255  # the right half, (103 - 51) / 103 of the width
    assert abs(resize(pixels, (30, 30)).mean() / 255 - 52 / 103) < 0.01


def test_translation_of_a_layer_is_exact():
    pixels = smooth_pictures([(20, 10)])[0]
    layer = Layer.resized(0, (20, 10), (-4, 3), (20, 10))
    canvas = paint(new_canvas((30, 30), (1, 2, 3)), Picture(pixels, 1), layer)
    assert (canvas[3:13, :16] == pixels[:, 4:]).all()
    assert (canvas[:3] == (1, 2, 3)).all()
    assert (canvas[:, 16:] == (1, 2, 3)).all()
    assert (layer.matrix == translation(-4, 3)).all()
