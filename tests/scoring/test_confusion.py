"""Which box was taken for which truth, by hand; the report's tests hold it to the peer's counts."""

from __future__ import annotations

from scoring.confusion import confusion_counts, pair_boxes
from tests.builders.two_images import DOUBLE, HIT, NOWHERE, WRONG_CLASS, boxes_of, two_images


def counts(rows):
    truth = two_images()
    return confusion_counts(pair_boxes(boxes_of(truth, rows), truth, 0.0), 2).tolist()


def test_no_boxes():
    assert counts([]) == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_confusion_by_hand():
    # five: found. nine: taken for five. Nothing: the double as five, the stray box as nine.
    found = counts([HIT, DOUBLE, WRONG_CLASS, NOWHERE])
    assert found == [[1, 0, 0], [1, 0, 0], [1, 1, 0]]
