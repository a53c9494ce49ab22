"""Resampled images and scores on them."""

from __future__ import annotations

import numpy as np

from scoring.uncertainty.bootstrap import ImageScorer, image_samples
from tests.builders.scoring_cases import dataset, predictions

TENS = [10.0, 10.0, 10.0, 10.0]
SAME = [10.0, 10.0, 20.0, 20.0]


def test_no_samples():
    assert image_samples(5, 0, seed=1).shape == (0, 5)


def test_samples_are_seeded_and_hold_as_many_images_as_there_are():
    first, again = (image_samples(50, 20, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first.sum(axis=1), 50)
    assert (image_samples(50, 20, seed=8) != first).any()


def test_samples_of_a_seed_stay_what_they_were():
    # Intervals in old score files and reports can be made again.
    np.testing.assert_array_equal(
        image_samples(6, 2, seed=411), [[0, 2, 4, 0, 0, 0], [2, 2, 0, 1, 1, 0]]
    )


def test_many_samples_are_scored_like_each_alone():
    truth = dataset(4, [(image, 1 + image % 2, TENS) for image in range(1, 5)])
    table = predictions(truth, [(image, 1 + image % 2, 0.1 * image, SAME) for image in (1, 2, 4)])
    scorer = ImageScorer.from_predictions(table, truth)
    weights = image_samples(4, 60, seed=0)
    alone = np.concatenate([scorer.values_on(row[None]) for row in weights])
    np.testing.assert_array_equal(scorer.values_on(weights), alone)


def test_images_with_truth_leave_out_what_a_metric_ignores():
    # Image 1 has a small box, image 2 a large one, image 3 a crowd, image 4 nothing.
    large = [0.0, 0.0, 99.0, 99.0]
    truth = dataset(4, [(1, 1, TENS), (2, 2, large), (3, 2, TENS)], crowds=(2,))
    scorer = ImageScorer.from_predictions(predictions(truth), truth)
    behind = dict(zip(scorer.names, scorer.images_with_truth.tolist(), strict=True))
    assert behind == {
        "competition_map50": 3, "map": 2, "map50": 2, "map75": 2, "map_small": 1, "map_medium": 0,
        "map_large": 1, "competition_ap50/class_1": 1, "competition_ap50/class_2": 2,
    }  # fmt: skip
