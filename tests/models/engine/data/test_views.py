"""Views for prediction: boxes come back from a view exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.ground.errors import UserError
from models.engine.data.eval_dataset import EvalDataset
from models.engine.data.loader import eval_loader
from models.engine.data.views import (
    View,
    boxes_from_view,
    parse_view,
    view_pixels,
    view_size,
)
from tests.builders.drawn_images import draw_images

VIEWS = st.builds(
    View,
    scale=st.floats(0.3, 2),
    hflip=st.booleans(),
    vflip=st.booleans(),
    quarter_turns=st.integers(0, 3),
)
SIDES = st.tuples(st.integers(1, 80), st.integers(1, 80))


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("plain", View("plain")),
        ("hflip", View("hflip", hflip=True)),
        ("vflip", View("vflip", vflip=True)),
        ("rot90", View("rot90", quarter_turns=1)),
        ("rot270", View("rot270", quarter_turns=3)),
        ("scale0.8", View("scale0.8", scale=0.8)),
        ("hflip+scale1.5+rot180", View("hflip+scale1.5+rot180", 1.5, hflip=True, quarter_turns=2)),
    ],
)
def test_names(name, view):
    assert parse_view(name) == view


@pytest.mark.parametrize("name", ["", "flip", "rot45", "scale", "scale0", "scale1000", "hflip+"])
def test_an_unknown_name_is_an_error_listing_the_valid_ones(name):
    with pytest.raises(UserError) as caught:
        parse_view(name)
    assert f"{name!r} is not a view" in str(caught.value)
    assert "plain, hflip, vflip, rot90, rot180, rot270, scaleFACTOR" in str(caught.value)


def test_a_flip_after_a_turn_is_refused():
    """Flips come first; in the other order the two would not commute."""
    with pytest.raises(UserError, match="is not a view"):
        parse_view("rot90+hflip")


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), [10, 20, 30, 25]),
        (View(hflip=True), [100 - 30, 20, 100 - 10, 25]),
        (View(vflip=True), [10, 50 - 25, 30, 50 - 20]),
        # Counter-clockwise: the right edge comes to the top.
        (View(quarter_turns=1), [20, 100 - 30, 25, 100 - 10]),
        (View(quarter_turns=2), [100 - 30, 50 - 25, 100 - 10, 50 - 20]),
        (View(quarter_turns=3), [50 - 25, 10, 50 - 20, 30]),
    ],
)
def test_boxes_written_out(view, expected):
    seen = np.array([expected])
    assert boxes_from_view(seen, view, (100, 50), (100, 50)).tolist() == [[10, 20, 30, 25]]
    assert boxes_from_view(2 * seen, view, (100, 50), (200, 100)).tolist() == [[10, 20, 30, 25]]


def test_no_boxes():
    none = np.zeros((0, 4))
    assert boxes_from_view(none, View(quarter_turns=1), (9, 5), (9, 5)).shape == (0, 4)


@given(VIEWS, SIDES, st.data())
def test_boxes_follow_the_pixels(view, size_wh, data):
    """A marked rectangle of pixels is found exactly where its box says."""
    width, height = size_wh
    xmin, ymin = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    xmax, ymax = data.draw(st.integers(xmin + 1, width)), data.draw(st.integers(ymin + 1, height))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[ymin:ymax, xmin:xmax] = 1
    shown = view_pixels(pixels, view)
    assert shown.shape[1::-1] == view_size(size_wh, view)
    rows, columns = np.nonzero(shown[..., 0])
    found = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    assert boxes_from_view(found, view, size_wh, size_wh).tolist() == [[xmin, ymin, xmax, ymax]]


def test_eval_dataset_of_no_images(tmp_path):
    coco = draw_images(tmp_path, [])
    assert len(EvalDataset(coco, tmp_path, (32, 32))) == 0


@pytest.mark.parametrize(
    ("mode", "view", "shape", "size_wh"),
    [
        ("keep_ratio", "plain", (3, 32, 64), (64, 32)),
        ("letterbox", "plain", (3, 64, 64), (64, 32)),
        ("stretch", "plain", (3, 64, 64), (64, 64)),
        ("keep_ratio", "rot90", (3, 64, 32), (32, 64)),
        ("letterbox", "rot90+scale0.5", (3, 32, 32), (16, 32)),
        ("keep_ratio", "scale1.5", (3, 48, 96), (96, 48)),
    ],
)
def test_eval_samples(tmp_path, mode, view, shape, size_wh):
    coco = draw_images(tmp_path, [(100, 50), (60, 30)])
    dataset = EvalDataset(coco, tmp_path, (64, 64), resize_mode=mode, view=view)
    samples = [sample for batch in eval_loader(dataset, 1, 0) for sample in batch]
    assert [sample.image_id for sample in samples] == [100, 101]
    for sample, original in zip(samples, [(100, 50), (60, 30)], strict=True):
        assert tuple(sample.image.shape) == shape
        assert (sample.size_wh, sample.original_size_wh) == (size_wh, original)
        whole = np.array([[0, 0, *size_wh]])
        np.testing.assert_allclose(sample.boxes_to_original(whole), [[0, 0, *original]])


def test_letterbox_fills_the_right_and_bottom(tmp_path):
    coco = draw_images(tmp_path, [(40, 20)])
    image = EvalDataset(coco, tmp_path, (40, 40), resize_mode="letterbox", pad_value=9)[0].image
    assert (image[:, 20:] == 9).all()
    assert (image[:, :20] != 9).any()
