"""Colour, affine, crop, multi-scale and the check of the `augment` block."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.ground.boxes import iou_matrix
from data_tools.ground.errors import UserError
from models.engine.config.augment import AUGMENT_DEFAULTS, complete_augment
from models.engine.data.augment.affine import affine_matrix, draw_affine
from models.engine.data.augment.colour import distort, draw_distortion, draw_hsv_shifts, shift_hsv
from models.engine.data.augment.crop import expanded_window, min_iou_window
from models.engine.data.augment.render import Layer, place_boxes
from models.engine.data.geometry import (
    clip_and_keep,
    fitted_size,
    mirror,
    scaling,
    transform_boxes,
    translation,
)
from tests.builders.mmdet_oracle import load_mmdet_transforms

BOXES = (
    st.integers(0, 12)
    .flatmap(
        lambda count: st.lists(
            st.tuples(*[st.floats(0, 100, width=32)] * 4), min_size=count, max_size=count
        )
    )
    .map(lambda rows: _upright(np.array(rows, dtype=np.float32).reshape(-1, 4)))
)


@pytest.fixture(scope="module")
def mmdet_transforms():
    return load_mmdet_transforms()


def _upright(rows: np.ndarray) -> np.ndarray:
    first, second = rows[:, :2], rows[:, 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def noise(side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


# The block


def test_nothing_given_is_the_defaults_and_a_copy():
    block = complete_augment({})
    assert block == AUGMENT_DEFAULTS
    block["affine"]["scale"][0] = 9
    assert AUGMENT_DEFAULTS["affine"]["scale"][0] == 0.5


def test_a_part_replaces_a_part():
    block = complete_augment({"mosaic": 1, "affine": {"scale": [0.1, 2.0]}})
    assert (block["mosaic"], block["affine"]["scale"]) == (1, [0.1, 2.0])
    assert block["affine"]["translate"] == 0.1


@pytest.mark.parametrize(
    ("given_block", "message"),
    [
        (
            {"mosiac": 1},
            "unknown key `augment.mosiac` (did you mean `mosaic`?)\n"
            "  where:    configuration, block `augment`\n"
            "  expected: keys in `augment`: resize, flip,",
        ),
        ({"affine": {"zoom": 1}}, "keys in `augment.affine`: probability, rotate_degrees, "),
        ({"affine": 1}, "`augment.affine` is 1, expected a mapping"),
        ({"mosaic": "half"}, '`augment.mosaic` is "half", expected 0 to 1'),
        ({"mosaic": True}, "`augment.mosaic` is true, expected 0 to 1"),
        ({"mosaic": 1.5}, "`augment.mosaic` is 1.5, expected 0 to 1"),
        ({"close_mosaic_epochs": -1}, "`augment.close_mosaic_epochs` is -1, expected 0 or more"),
        ({"multi_scale": [2.0, 1.0]}, "expected [low, high] with 0 < low <= high"),
        ({"multi_scale": [1.0]}, "expected [low, high] with 0 < low <= high"),
        ({"resize": {"mode": "crop"}}, "expected keep_ratio, letterbox or stretch"),
        ({"expand": {"ratio": [0.5, 2.0]}}, "expected [low, high] with 1 <= low <= high"),
        ({"expand": {"fill_bgr": []}}, "is [], expected a list of whole numbers"),
        ({"min_iou_crop": {"min_size": 0}}, "is 0, expected a number above 0 and at most 1"),
    ],
)
def test_a_wrong_block_is_an_error(given_block, message):
    with pytest.raises(UserError) as caught:
        complete_augment(given_block)
    assert message in str(caught.value)


def test_all_faults_are_in_one_message():
    with pytest.raises(UserError) as caught:
        complete_augment({"mosaic": 2, "flip": -1, "resize": {"mode": "x"}})
    assert all(key in str(caught.value) for key in ("mosaic", "flip", "resize.mode"))


# Geometry


def test_no_boxes_stay_no_boxes():
    boxes = np.zeros((0, 4), np.float32)
    assert transform_boxes(boxes, np.eye(3)).shape == (0, 4)
    clipped, keep = clip_and_keep(boxes, (10, 10))
    assert (clipped.shape, keep.shape) == ((0, 4), (0,))


def test_transform_is_written_out():
    boxes = np.array([[1.0, 2, 5, 4]])
    assert transform_boxes(boxes, translation(10, 20)).tolist() == [[11, 22, 15, 24]]
    assert transform_boxes(boxes, scaling(2, 3)).tolist() == [[2, 6, 10, 12]]
    assert transform_boxes(boxes, mirror(100)).tolist() == [[95, 2, 99, 4]]
    quarter = affine_matrix(90, 1, (0, 0), (0, 0))  # (x, y) -> (-y, x)
    np.testing.assert_allclose(transform_boxes(boxes, quarter), [[-4, 1, -2, 5]], atol=1e-12)


def test_whole_number_boxes_are_not_truncated():
    boxes = np.array([[0, 0, 3, 3]])
    assert transform_boxes(boxes, scaling(0.5, 0.5)).tolist() == [[0, 0, 1.5, 1.5]]


@given(BOXES, st.floats(-50, 50), st.floats(0.1, 3), st.floats(-100, 100))
def test_transform_and_its_inverse_contain_the_box(boxes, angle, scale, shift):
    matrix = affine_matrix(angle, scale, (3, -2), (shift, -shift))
    back = transform_boxes(transform_boxes(boxes.astype(np.float64), matrix), np.linalg.inv(matrix))
    assert (back[:, :2] <= boxes[:, :2] + 1e-3).all()
    assert (back[:, 2:] >= boxes[:, 2:] - 1e-3).all()


@given(BOXES, st.integers(1, 120), st.integers(1, 120), st.floats(0, 5))
def test_kept_boxes_are_inside_and_large_enough(boxes, width, height, min_side):
    clipped, keep = clip_and_keep(boxes, (width, height), min_box_px=min_side)
    for box, kept in zip(clipped, keep, strict=True):
        assert 0 <= box[0] <= box[2] <= width
        assert 0 <= box[1] <= box[3] <= height
        sides = box[2:] - box[:2]
        assert kept == ((sides >= min_side).all() and (sides > 0).all())


@pytest.mark.parametrize(("min_visible", "kept"), [(0.0, True), (0.25, True), (0.26, False)])
def test_a_box_of_which_too_little_is_seen_is_left_out(min_visible, kept):
    # Of 20 x 10 pixels, 5 x 10 are left inside the canvas: a quarter.
    layer = Layer(0, translation(15, 0), (0.0, 0.0, 100.0, 100.0), 1.0)
    box = np.array([[0.0, 0, 20, 10]])
    _, keep = place_boxes(box, layer, (20, 20), min_box_px=1, min_visible=min_visible)
    assert keep.tolist() == [kept]


@pytest.mark.parametrize(
    ("size", "target", "fitted"),
    [
        ((1024, 1024), (1024, 1024), (1024, 1024)),
        ((640, 480), (320, 320), (320, 240)),
        ((480, 640), (320, 320), (240, 320)),
        ((3000, 1), (300, 300), (300, 1)),
        ((100, 33), (50, 50), (50, 17)),
    ],
)
def test_fitted_size(size, target, fitted):
    assert fitted_size(size, target) == fitted
    assert fitted_size(size, target, keep_ratio=False) == target


def test_affine_matrix_is_mmdets(mmdet_transforms):
    theirs = mmdet_transforms.RandomAffine
    expected = (
        theirs._get_translation_matrix(12, -7)
        @ theirs._get_shear_matrix(1.5, -0.5)
        @ theirs._get_rotation_matrix(8)
        @ theirs._get_scaling_matrix(0.7)
    )
    np.testing.assert_allclose(affine_matrix(8, 0.7, (1.5, -0.5), (12, -7)), expected, rtol=1e-6)


def test_affine_is_drawn_within_its_options():
    options = {"rotate_degrees": 0.0, "scale": [0.1, 2.0], "shear_degrees": 0.0, "translate": 0.1}
    rng = np.random.default_rng(0)
    matrices = np.array([draw_affine(rng, options, (200, 100)) for _ in range(400)])
    assert 0.1 <= matrices[:, 0, 0].min() < 0.2
    assert 1.9 < matrices[:, 0, 0].max() <= 2.0
    assert 18 < np.abs(matrices[:, 0, 2]).max() <= 20
    assert 9 < np.abs(matrices[:, 1, 2]).max() <= 10
    assert (matrices[:, 0, 1] == 0).all()


# Windows of SSD


@given(st.integers(0, 500), st.integers(1, 90), st.integers(1, 90))
def test_expanded_window_contains_the_image(seed, width, height):
    xmin, ymin, xmax, ymax = expanded_window(
        np.random.default_rng(seed), (width, height), (1.0, 4.0)
    )
    assert xmin <= 0
    assert ymin <= 0
    assert (xmax - xmin, ymax - ymin) <= (4 * width, 4 * height)
    assert (xmax, ymax) >= (width - 1, height - 1)


def crop_options(*ious: float) -> dict:
    return {"ious": list(ious), "min_size": 0.3}


@settings(deadline=None)
@given(st.integers(0, 500), BOXES)
def test_crop_keeps_its_promises(seed, boxes):
    window = (-20, -10, 120, 105)
    found = min_iou_window(np.random.default_rng(seed), boxes, window, crop_options(0.1, 0.3))
    xmin, ymin, xmax, ymax = found.xyxy
    assert found.box_mask.shape == (len(boxes),)
    if found.xyxy == window:
        assert found.box_mask.all()
        return
    assert window[0] <= xmin < xmax <= window[2]
    assert window[1] <= ymin < ymax <= window[3]
    assert found.size_wh[0] >= int(0.3 * 140)
    assert found.size_wh[1] >= int(0.3 * 115)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres > (xmin, ymin)) & (centres < (xmax, ymax))).all(axis=1)
    assert (found.box_mask == inside).all()
    if len(boxes):
        assert inside.any()


def test_crop_overlap_reaches_the_threshold():
    boxes = np.array([[10.0, 10, 90, 90]])
    for seed in range(200):
        window = (0, 0, 100, 100)
        found = min_iou_window(np.random.default_rng(seed), boxes, window, {
            "ious": [0.7], "min_size": 0.3
        })  # fmt: skip
        overlap = iou_matrix(np.array([found.xyxy]), boxes)[0, 0]
        # Modes: no crop (IoU .64), .7, none: a crop below .7 can only come from the last.
        assert overlap > 0


def test_crops_are_distributed_as_mmdets(mmdet_transforms):
    """Same mean width and share of untouched images, within four standard errors."""
    from mmdet.structures.bbox import HorizontalBoxes

    boxes = np.array([[10.0, 20, 60, 70], [50, 40, 95, 80]], np.float32)
    draws = 600
    theirs = mmdet_transforms.MinIoURandomCrop(min_ious=(0.1, 0.3, 0.5, 0.7, 0.9))
    np.random.seed(0)  # noqa: NPY002  mmdet draws from the global generator
    pixels = np.zeros((100, 120, 3), np.uint8)
    their_widths = []
    for _ in range(draws):
        result = {"img": pixels, "gt_bboxes": HorizontalBoxes(boxes.copy())}
        their_widths.append(theirs.transform(result)["img"].shape[1])
    rng = np.random.default_rng(0)
    options = crop_options(0.1, 0.3, 0.5, 0.7, 0.9)
    our_widths = [
        min_iou_window(rng, boxes, (0, 0, 120, 100), options).size_wh[0] for _ in range(draws)
    ]
    for statistic in (lambda w: w, lambda w: w == 120):
        first, second = (statistic(np.array(w)).astype(float) for w in (our_widths, their_widths))
        error = np.sqrt((first.var() + second.var()) / draws)
        assert abs(first.mean() - second.mean()) < 4 * error


# Colour


@pytest.mark.parametrize("shifts", [(0, 0, 0), (5, 30, -30), (-5, -30, 30), (3, 0, 0), (0, 255, 0)])
def test_hsv_shift_is_mmdets(mmdet_transforms, shifts):
    theirs = mmdet_transforms.YOLOXHSVRandomAug()
    theirs._get_hsv_gains = lambda: np.array(shifts, np.int16)
    expected = theirs.transform({"img": noise().copy()})["img"]
    ours = shift_hsv(noise(), np.array(shifts))
    if any(shifts):
        assert (ours == expected).all()
    else:
        # No shift: we leave the picture alone, mmdet converts it there and back.
        assert (ours == noise()).all()


def test_hsv_shifts_are_drawn_within_their_limits():
    rng = np.random.default_rng(0)
    options = {"hue": 5, "saturation": 30, "value": 20}
    drawn = np.array([draw_hsv_shifts(rng, options) for _ in range(500)])
    assert (np.abs(drawn).max(axis=0) <= (5, 30, 20)).all()
    assert (np.abs(drawn).max(axis=0) >= (4, 25, 15)).all()
    assert ((drawn == 0).mean(axis=0) > 0.4).all()


PHOTOMETRIC = [
    {},
    {"brightness": 20.0},
    {"contrast": 1.4},
    {"contrast": 0.6, "contrast_first": False},
    {"saturation": 1.5},
    {"saturation": 0.5, "hue_degrees": -18.0},
    {"channel_order": (2, 0, 1)},
    {
        "brightness": -30.0,
        "contrast": 1.3,
        "contrast_first": False,
        "saturation": 1.2,
        "hue_degrees": 12.0,
        "channel_order": (1, 2, 0),
    },
]


@pytest.mark.parametrize("change", PHOTOMETRIC)
def test_distortion_is_mmdets_rounded_and_clipped(mmdet_transforms, change):
    full = {
        "brightness": 0.0,
        "contrast": 1.0,
        "contrast_first": True,
        "saturation": 1.0,
        "hue_degrees": 0.0,
        "channel_order": (0, 1, 2),
        **change,
    }
    theirs = mmdet_transforms.PhotoMetricDistortion()
    order = np.array(full["channel_order"])
    mode = 1 if full["contrast_first"] else 0
    flags = (1, 1, int(full["saturation"] != 1), int(full["hue_degrees"] != 0), 1)
    theirs._random_flags = lambda: (
        mode, *flags, full["brightness"], full["contrast"], full["saturation"],
        full["hue_degrees"], order,
    )  # fmt: skip
    expected = theirs.transform({"img": noise()})["img"].round().clip(0, 255)
    assert np.abs(distort(noise(), **change).astype(int) - expected).max() <= 1


def test_distortion_changes_each_thing_half_the_time():
    rng = np.random.default_rng(0)
    options = AUGMENT_DEFAULTS["photometric"]
    drawn = [SimpleNamespace(**draw_distortion(rng, options)) for _ in range(600)]
    shares = [
        np.mean([d.brightness != 0 for d in drawn]),
        np.mean([d.contrast != 1 for d in drawn]),
        np.mean([d.saturation != 1 for d in drawn]),
        np.mean([d.hue_degrees != 0 for d in drawn]),
        np.mean([d.contrast_first for d in drawn]),
    ]
    assert all(0.42 < share < 0.58 for share in shares)
    assert max(abs(d.brightness) for d in drawn) <= 32
    assert all(0.5 <= d.contrast <= 1.5 for d in drawn)


def test_inputs_are_not_changed():
    pixels = noise()
    for change in PHOTOMETRIC:
        distort(pixels, **change)
    shift_hsv(pixels, np.array([5, 20, 20]))
    cv2.flip(pixels, 1)
    assert (pixels == noise()).all()
