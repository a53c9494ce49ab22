"""The built-in sample: the real competition's statistics, tight boxes, the same bytes each time."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr

from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.ground.paths import DataPaths
from data_tools.sample.dataset import SampleParameters, write_sample
from data_tools.sample.layout import (
    BOXES_PER_CLASS,
    CLASS_NAMES,
    draw_counts,
    draw_labels,
    draw_layout,
)
from data_tools.sample.scene import paste, render_scene, visible_boxes
from data_tools.sample.sprites import DRAW_OF_CLASS, Sprite

SMALL = SampleParameters(train_images=12, test_images=5, size=96, seed=1)
# Published percentiles 1, 5, 25, 50, 75, 95 and 99 of the real annotations.
PERCENTS = (1, 5, 25, 50, 75, 95, 99)
REAL_SIZES = (0.030, 0.041, 0.098, 0.193, 0.337, 0.586, 0.787)
REAL_ASPECTS = (0.19, 0.35, 0.69, 1.05, 1.54, 2.97, 5.61)


def nothing() -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def large_layout():
    return draw_layout(5000, np.random.default_rng(7))


@pytest.fixture(scope="module")
def small_sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    write_sample(root, SMALL, tick=nothing)
    return root


def test_sizes_and_ratios_are_those_of_the_competition(large_layout):
    width, height = large_layout.sizes_wh.T
    sizes = np.percentile(np.sqrt(width * height), PERCENTS)
    assert sizes == pytest.approx(REAL_SIZES, rel=0.02)
    # Very large boxes cannot be very elongated, which costs a little in the tails.
    assert np.percentile(width / height, PERCENTS) == pytest.approx(REAL_ASPECTS, rel=0.06)


def test_boxes_per_image_are_those_of_the_competition(large_layout):
    counts = np.bincount(large_layout.image_index, minlength=5000)
    assert counts.mean() == pytest.approx(4.7, abs=0.15)
    assert (np.median(counts), np.percentile(counts, 90)) == (2, 12)
    assert counts.min() == 1
    assert 40 <= counts.max() <= 71


def test_classes_are_as_unequal_as_in_the_competition(large_layout):
    counts = np.bincount(large_layout.labels, minlength=len(CLASS_NAMES))
    expected = len(large_layout.labels) * np.array(BOXES_PER_CLASS) / 23144
    assert np.abs(counts - expected).max() < 1


def test_crowded_images_have_smaller_boxes(large_layout):
    counts = np.bincount(large_layout.image_index)[large_layout.image_index]
    correlation = spearmanr(counts, large_layout.sizes_wh.prod(axis=1)).statistic
    assert correlation == pytest.approx(-0.46, abs=0.05)  # -.46 in the real annotations


def test_clothes_are_large_and_batteries_never_fill_the_picture(large_layout):
    sizes = np.sqrt(large_layout.sizes_wh.prod(axis=1))
    of_class = {name: sizes[large_layout.labels == k] for k, name in enumerate(CLASS_NAMES)}
    assert np.median(of_class["Clothing"]) > 1.5 * np.median(of_class["Battery"])
    assert np.percentile(of_class["Battery"], 95) < 0.5


def test_no_boxes_have_no_labels_and_one_image_has_a_box():
    assert draw_labels(0, np.random.default_rng(0)).tolist() == []
    assert draw_counts(1, np.random.default_rng(0)).min() >= 1


def test_labels_of_few_boxes_follow_largest_remainders():
    # Of 10 boxes: 1.71, 2.74, .39, .40, .42, 1.27, .55, 2.24, .07, .20 -> floors 1 2 0 0 0 1 0 2,
    # and the four missing go to the remainders .74, .71, .55 and .42.
    counts = np.bincount(draw_labels(10, np.random.default_rng(0)), minlength=10)
    assert counts.tolist() == [2, 3, 0, 0, 1, 1, 1, 2, 0, 0]


def test_every_class_looks_different():
    # The mean colour alone, compared with the classes' centres, names the class nearly always.
    def mean_colour(label: int, seed: int) -> np.ndarray:
        sprite = Sprite(96, np.random.default_rng([label, seed]))
        DRAW_OF_CLASS[label][0](sprite)
        return cv2.cvtColor(sprite.colours, cv2.COLOR_BGR2LAB)[sprite.mask > 127].mean(axis=0)

    classes = range(len(CLASS_NAMES))
    centres = np.array([np.mean([mean_colour(k, s) for s in range(8)], axis=0) for k in classes])
    named = np.array(
        [
            [
                np.linalg.norm(centres - mean_colour(k, s), axis=1).argmin() == k
                for s in range(8, 20)
            ]
            for k in classes
        ]
    )
    assert named.mean() >= 0.95
    assert named.mean(axis=1).min() >= 0.75


def test_boxes_are_tight_around_one_object():
    # The object is the only thing that differs from the same scene drawn without it.
    rng_pair = [np.random.default_rng(5), np.random.default_rng(5)]
    size = np.array([[0.4, 0.3]])
    scene = render_scene(np.array([3]), size, 200, rng_pair[0])
    ((left, top, right, bottom),) = scene.boxes_xyxy
    assert (right - left, bottom - top) == pytest.approx((80, 60), abs=1.5)
    red = scene.picture[..., 2].astype(int) - scene.picture[..., 1]
    rows, columns = np.nonzero(red > 60)  # the red of the can, nothing else is
    assert left - 1 <= columns.min()
    assert columns.max() <= right + 1
    assert columns.max() - columns.min() > 0.6 * (right - left)
    assert top - 1 <= rows.min()
    assert rows.max() <= bottom + 1


def test_an_object_covers_its_outline_and_not_its_box():
    # A triangle on an 8 x 8 sprite: 8 + 7 + ... + 1 = 36 pixels of 64.
    sprite = np.zeros((8, 8, 4), np.uint8)
    sprite[..., 3] = 255 * np.tri(8, dtype=np.uint8)
    picture, owner = np.full((20, 20, 3), 100, np.float32), np.zeros((20, 20), np.uint8)
    owner[:] = 1
    assert paste(picture, owner, sprite, (5, 6), 2) == 36
    assert np.bincount(owner.ravel()).tolist() == [0, 400 - 36, 36]
    assert owner[6, 5] == owner[13, 12] == 2
    assert owner[6, 12] == 1
    boxes, visible = visible_boxes(owner, np.array([0, 400, 36]))
    assert boxes.tolist() == [[0, 0, 10, 10], [2.5, 3, 6.5, 7]]  # at half the drawn size
    assert visible.tolist() == [364 / 400, 1]


@pytest.mark.parametrize("seed", range(4))
def test_rendered_boxes_have_the_sizes_that_were_drawn(seed):
    layout = draw_layout(12, np.random.default_rng(seed))
    drawn, kept, ratios = 0, 0, []
    for index in range(layout.images):
        mine = layout.image_index == index
        scene = render_scene(
            layout.labels[mine], layout.sizes_wh[mine], 160, np.random.default_rng([seed, index])
        )
        drawn, kept = drawn + int(mine.sum()), kept + len(scene.labels)
        sides = scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]
        assert (sides >= 3).all()
        assert (scene.boxes_xyxy >= 0).all()
        assert (scene.boxes_xyxy <= 160).all()
        ratios.append(
            sides.prod(axis=1).sum() / (layout.sizes_wh[mine].prod(axis=1).sum() * 160**2)
        )
    assert kept >= 0.95 * drawn  # what is nearly hidden or below three pixels is not labelled
    assert np.median(ratios) == pytest.approx(1, abs=0.08)


def test_the_files_are_complete(small_sample):
    train, test = read_coco(small_sample / "train.json"), read_coco(small_sample / "test.json")
    truth = read_coco(small_sample / "hidden" / "test_truth.json")
    assert (len(train.images), len(test.images)) == (12, 5)
    assert len(test.annotations) == 0
    assert test.fingerprint == truth.fingerprint
    assert set(truth.annotation_image_ids.tolist()) == set(truth.image_ids.tolist())
    assert train.category_names == CLASS_NAMES
    assert train.categories == test.categories
    for dataset in (train, test):
        for name in dataset.file_names:
            assert cv2.imread(str(small_sample / name)).shape == (96, 96, 3)
    marker = json.loads((small_sample / "sample.json").read_text())
    assert marker["parameters"] == {"train_images": 12, "test_images": 5, "size": 96, "seed": 1}


def contents(root) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): sha256_of_file(path) for path in files}


def test_the_same_parameters_give_the_same_bytes(small_sample, tmp_path):
    write_sample(tmp_path / "again", SMALL, tick=nothing)
    assert contents(tmp_path / "again") == contents(small_sample)


def test_another_seed_gives_other_pictures(small_sample, tmp_path):
    other = SampleParameters(12, 5, 96, seed=2)
    write_sample(tmp_path, other, tick=nothing)
    same = set(contents(tmp_path).items()) & set(contents(small_sample).items())
    # test.json has no boxes: names and sizes are the same.
    assert {name for name, _ in same} == {"test.json"}


def test_a_sample_that_is_there_is_kept(small_sample):
    before = contents(small_sample)
    ticks = []
    assert write_sample(small_sample, SMALL, tick=lambda: ticks.append(1)) == "kept"
    assert ticks == []
    assert contents(small_sample) == before


def test_another_sample_is_replaced_only_with_force(tmp_path):
    first, second = SampleParameters(3, 2, 64, 1), SampleParameters(2, 1, 64, 1)
    write_sample(tmp_path, first, tick=nothing)
    with pytest.raises(UserError, match="drawn with other parameters") as caught:
        write_sample(tmp_path, second, tick=nothing)
    assert "--overwrite" in caught.value.next_step
    assert write_sample(tmp_path, second, overwrite=True, tick=nothing) == "drawn"
    assert len(read_coco(tmp_path / "train.json").images) == 2
    # Pictures of the first sample that the second does not have are gone.
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == ["0000.jpg", "0001.jpg"]


def test_someones_own_data_is_never_overwritten(tmp_path):
    (tmp_path / "train.json").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="not the sample"):
            write_sample(tmp_path, SMALL, overwrite=overwrite, tick=nothing)
    assert (tmp_path / "train.json").read_text() == "mine"


def test_a_drawing_that_is_interrupted_leaves_nothing(tmp_path):
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "sample", SMALL, tick=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "option"),
    [
        (SampleParameters(train_images=0), "--train-images is 0"),
        (SampleParameters(test_images=-1), "--test-images is -1"),
        (SampleParameters(size=8), "--size is 8"),
        (SampleParameters(seed=-1), "--seed is -1"),
    ],
)
def test_impossible_parameters_are_refused(tmp_path, parameters, option):
    with pytest.raises(UserError, match=option):
        write_sample(tmp_path, parameters, tick=nothing)
    assert list(tmp_path.iterdir()) == []


def test_the_default_sample_has_every_class_in_training_and_in_fold_3():
    from data_tools.coco.dataset import coco_from_dict
    from data_tools.folds.assign import seed_scheme_folds
    from tests.builders.coco_cases import box, coco_dict, image

    parameters = SampleParameters()
    layout = draw_layout(parameters.train_images, np.random.default_rng([parameters.seed, 0]))
    names = dict(enumerate(CLASS_NAMES))
    boxes = [
        box(k, int(i), int(label), [0, 0, 9, 9])
        for k, (i, label) in enumerate(zip(layout.image_index, layout.labels, strict=True))
    ]
    images = [image(i) for i in range(parameters.train_images)]
    dataset = coco_from_dict(coco_dict(images, boxes, names))
    held_out = seed_scheme_folds(dataset, 5, 411)[dataset.annotation_image_ids] == 3
    assert np.bincount(dataset.labels[held_out], minlength=10).min() >= 5
    assert np.bincount(dataset.labels[~held_out], minlength=10).min() >= 12


def test_annotations_are_numbered_from_1(tmp_path):
    """pycocotools takes id 0 for "no match": its box would count as a miss."""
    write_sample(tmp_path, SampleParameters(3, 2, 64, 1), tick=lambda: None)
    for path in (DataPaths(tmp_path).train_json, DataPaths(tmp_path).hidden_test_json):
        ids = read_coco(path).annotation_ids.tolist()
        assert ids == list(range(1, len(ids) + 1))
