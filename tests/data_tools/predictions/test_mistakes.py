"""What a file of predictions shows of how it was written; real files of teams raise no alarm."""

from __future__ import annotations

import gzip

import numpy as np

from data_tools.predictions.mistakes import order_text, score_cut, score_order, score_order_of
from tests.builders.scoring_cases import dataset, predictions


def order_of(rows):
    """Look at (image, label, score) rows."""
    images, labels, scores = np.array(rows, dtype=float).reshape(-1, 3).T
    return score_order(images.astype(int), labels.astype(int), scores)


def test_a_file_without_boxes_shows_nothing():
    order = order_of([])
    assert (order.images, order.unordered_images, order.rising_images) == (0, 0, 0)
    assert score_cut(np.zeros(0)) is None
    assert score_order_of(predictions(dataset(1))) is None


def test_order_is_that_within_an_image_and_class():
    descending = [(1, 1, 0.9), (1, 1, 0.2), (1, 2, 0.7)]  # class 2 begins anew
    mixed = [(2, 1, 0.5), (2, 1, 0.8), (2, 1, 0.1)]
    rising = [(3, 1, 0.1), (3, 2, 0.9), (3, 1, 0.2), (3, 1, 0.2), (3, 1, 0.3)]
    single = [(4, 1, 0.5), (4, 2, 0.6)]  # two classes: neither has an order
    order = order_of([*descending, *mixed, *rising, *single])
    assert (order.images, order.unordered_images, order.rising_images) == (3, 2, 1)
    assert np.flatnonzero(order.rises).tolist() == [4, 8, 10]
    assert order_text(order) == (
        "on 2 of 3 images boxes of a class are not in descending order of score (rising "
        "throughout on 1)"
    )


def test_equal_scores_are_in_order():
    assert order_of([(1, 1, 0.5), (1, 1, 0.5)]).unordered_images == 0


def test_a_table_sorted_by_score_is_not_looked_at():
    rows = [(1, 1, 0.1, [0, 0, 9, 9]), (1, 1, 0.9, [0, 0, 9, 9])]
    assert score_order_of(predictions(dataset(1), rows)).unordered_images == 1
    assert score_order_of(predictions(dataset(1), rows, row_order="score")) is None


def scores_from(lowest, count=200):
    return np.linspace(lowest, 1, count)


def test_a_cut_has_a_sharp_edge_that_is_high_enough():
    assert score_cut(scores_from(0.25)) == 0.25
    assert score_cut(scores_from(0.1)) == 0.1
    assert score_cut(scores_from(0.05)) is None  # mmdet's default
    assert score_cut(scores_from(0.25, count=99)) is None  # too few boxes to say


def test_weak_boxes_that_are_merely_rare_are_no_cut():
    tail = np.concatenate([[0.2], np.linspace(0.5, 1, 199)])  # one of 200 near the lowest: 0.5 %
    assert score_cut(tail) is None


def test_scores_all_alike_are_no_cut():
    assert score_cut(np.full(200, 0.5)) is None
    assert score_cut(np.linspace(0.5, 0.51, 200)) is None


# The lowest scores: 0.05 in ten files, 0.001 in two, 0.017 in a fusion, 0.25 in two.
REAL_CUTS = {"e5_13_yolov8x.csv.gz": 0.25, "e5_13_yolov8x_cosine.csv.gz": 0.2501}


def test_of_14_real_files_two_are_cut_and_none_is_out_of_order(real_data):
    files = sorted(real_data.glob("[so]*/*.csv.gz"))
    cuts = {}
    for path in files:
        rows = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
        boxes = [np.array(row.split(",")[0].split(), dtype=float).reshape(-1, 6) for row in rows]
        image_index = np.repeat(np.arange(len(boxes)), [len(own) for own in boxes])
        table = np.concatenate(boxes)
        assert score_order(image_index, table[:, 0], table[:, 1]).unordered_images == 0, path
        cuts[path.name] = score_cut(table[:, 1])
    assert len(files) == 14
    assert {name: round(cut, 4) for name, cut in cuts.items() if cut} == REAL_CUTS
