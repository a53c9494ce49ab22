"""Folds: the original entry's scheme bit for bit, and a stratification that is one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.coco.dataset import coco_from_dict, read_coco
from data_tools.coco.statistics import box_measures, distances
from data_tools.folds.assign import greedy_folds, seed_scheme_folds, spread_evenly, stratified_folds
from tests.builders.coco_cases import box, coco_dict, image, random_coco

# Folds that scikit-learn 1.1.3 itself gave, on Python 3.9 with NumPy 1.22.4, for `pinned_dataset`.
PINNED = {
    0: [26, 68, 95, 101, 104],
    1: [20, 29, 38, 41, 56, 89],
    2: [23, 44, 50, 65, 80],
    3: [14, 17, 71, 92, 107, 110],
    4: [5, 8, 62, 74, 77, 83, 86],
}


def reference_seed_scheme(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int):
    """The published procedure, one fold and one group at a time; returns fold per sorted group."""
    random = np.random.RandomState(seed)
    classes, class_of_box = np.unique(labels, return_inverse=True)
    class_totals = np.bincount(class_of_box)
    group_ids, group_of_box = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(group_ids), len(classes)))
    for group, one_class in zip(group_of_box, class_of_box, strict=True):
        counts[group, one_class] += 1
    random.shuffle(counts)
    filled, fold_of_group = np.zeros((folds, len(classes))), {}
    for group in np.argsort(-np.std(counts, axis=1), kind="mergesort"):
        best, best_spread, best_size = None, np.inf, np.inf
        for fold in range(folds):
            filled[fold] += counts[group]
            spread = np.mean(np.std(filled / class_totals.reshape(1, -1), axis=0))
            filled[fold] -= counts[group]
            size = np.sum(filled[fold])
            if spread < best_spread or (np.isclose(spread, best_spread) and size < best_size):
                best, best_spread, best_size = fold, spread, size
        filled[best] += counts[group]
        fold_of_group[group] = best
    return group_ids, np.array([fold_of_group[g] for g in range(len(group_ids))])


def test_no_images_without_a_fold_is_nothing_to_do():
    assert spread_evenly(np.array([], np.int64), np.array([], np.int64), 3).tolist() == []


def test_images_without_boxes_go_where_fewest_are():
    # Folds hold 2, 1 and 0 images; four more fill them up: 2, then 1 and 2 (both have 1), then 0.
    fold_of_image = np.array([0, 0, 1, -1, -1, -1, -1])
    placed = spread_evenly(fold_of_image, np.arange(7), 3)
    assert placed.tolist() == [0, 0, 1, 2, 1, 2, 0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 60), st.integers(2, 6))
def test_the_seed_scheme_follows_the_published_procedure(seed, images, folds):
    dataset = random_coco(np.random.default_rng(seed), images)
    got = seed_scheme_folds(dataset, folds, seed)
    group_ids, expected = reference_seed_scheme(
        dataset.labels, dataset.annotation_image_ids, folds, seed
    )
    of_id = dict(zip(dataset.image_ids.tolist(), got.tolist(), strict=True))
    assert [of_id[group] for group in group_ids.tolist()] == expected.tolist()
    assert set(got.tolist()) <= set(range(folds))


def pinned_dataset():
    return random_coco(np.random.default_rng(411), 37, most_boxes=5)


def test_the_seed_scheme_is_pinned():
    dataset = pinned_dataset()
    fold_of_image = seed_scheme_folds(dataset, 5, 411)
    with_boxes = np.isin(dataset.image_ids, dataset.annotation_image_ids)
    found = {
        fold: sorted(dataset.image_ids[(fold_of_image == fold) & with_boxes].tolist())
        for fold in range(5)
    }
    assert found == PINNED


def test_the_seed_scheme_does_not_depend_on_the_order_of_the_file():
    dataset = random_coco(np.random.default_rng(3), 40)
    content = dataset.as_dict()
    turned = coco_from_dict(
        {
            **content,
            "images": content["images"][::-1],
            "annotations": content["annotations"][::-1],
            "categories": content["categories"][::-1],
        }
    )
    first = dict(zip(dataset.file_names, seed_scheme_folds(dataset, 5, 1), strict=True))
    second = dict(zip(turned.file_names, seed_scheme_folds(turned, 5, 1), strict=True))
    assert first == second


def test_the_published_fold_3_comes_out_image_for_image(real_data):
    dataset = read_coco(real_data / "recycle_train.json.gz")
    expected = json.loads((real_data / "valid3_image_ids.json").read_text())
    fold_of_image = seed_scheme_folds(dataset, 5, 411)
    assert sorted(dataset.image_ids[fold_of_image == 3].tolist()) == sorted(expected)
    group_ids, slow = reference_seed_scheme(dataset.labels, dataset.annotation_image_ids, 5, 411)
    assert group_ids.tolist() == dataset.image_ids.tolist()
    assert slow.tolist() == fold_of_image.tolist()


@pytest.mark.parametrize("scheme", [seed_scheme_folds, stratified_folds])
def test_images_without_boxes_are_in_the_folds(scheme):
    images = [image(i) for i in range(10)]
    dataset = coco_from_dict(coco_dict(images, [box(0, 4, 3, [0, 0, 5, 5])]))
    fold_of_image = scheme(dataset, 5, 411)
    assert np.bincount(fold_of_image, minlength=5).tolist() == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("scheme", [seed_scheme_folds, stratified_folds])
def test_a_dataset_without_any_box_is_split(scheme):
    dataset = coco_from_dict(coco_dict([image(i) for i in range(4)]))
    assert sorted(scheme(dataset, 2, 0).tolist()) == [0, 0, 1, 1]


def test_another_seed_gives_another_split():
    dataset = random_coco(np.random.default_rng(0), 50)
    assert not np.array_equal(stratified_folds(dataset, 5, 1), stratified_folds(dataset, 5, 2))
    assert np.array_equal(stratified_folds(dataset, 5, 1), stratified_folds(dataset, 5, 1))


def worst_distances(dataset, fold_of_image: np.ndarray, folds: int) -> dict[str, float]:
    whole = box_measures(dataset)
    found = [
        distances(box_measures(dataset.subset(dataset.image_ids[fold_of_image == k])), whole)
        for k in range(folds)
    ]
    return {name: max(one[name] for one in found) for name in ("class", "size", "count")}


def test_stratified_folds_are_closer_to_the_whole_than_random_ones():
    rng = np.random.default_rng(8)
    dataset = random_coco(rng, 600, classes=8, most_boxes=12)
    stratified = worst_distances(dataset, stratified_folds(dataset, 5, 0), 5)
    random = [worst_distances(dataset, rng.permutation(np.arange(600) % 5), 5) for _ in range(20)]
    for name in ("class", "size", "count"):
        assert stratified[name] < min(one[name] for one in random), name


def test_stratified_folds_have_equally_many_images():
    dataset = random_coco(np.random.default_rng(2), 203, classes=6)
    sizes = np.bincount(stratified_folds(dataset, 5, 0))
    assert sizes.max() - sizes.min() <= 2


def test_a_rare_class_is_spread_over_all_folds():
    boxes = [box(i, i, 7 if i < 5 else 3, [0, 0, 5 + i, 5]) for i in range(50)]
    dataset = coco_from_dict(coco_dict([image(i) for i in range(50)], boxes))
    fold_of_image = stratified_folds(dataset, 5, 3)
    assert sorted(fold_of_image[:5].tolist()) == [0, 1, 2, 3, 4]


def test_the_greedy_step_takes_the_least_loaded_fold():
    # One feature, weights 4, 3, 2, 1 on two folds: 4 | 3, then 2 to the lighter, 1 to the lighter.
    features = np.array([[1.0], [4.0], [2.0], [3.0]])
    fold_of_row = greedy_folds(features, 2, 0)
    assert fold_of_row[1] == fold_of_row[0] != fold_of_row[3] == fold_of_row[2]


def test_real_stratified_folds_agree_within_two_boxes_of_the_rarest_class(real_data):
    dataset = read_coco(real_data / "recycle_train.json.gz")
    fold_of_image = stratified_folds(dataset, 5, 411)
    batteries = dataset.annotation_image_ids[dataset.labels == 8]
    per_fold = np.bincount(fold_of_image[batteries], minlength=5)
    assert per_fold.sum() == 159
    assert per_fold.max() - per_fold.min() <= 2
