"""The table of predicted boxes: grouping, order and checks at construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows


def table(rows: list[tuple], image_ids: list[int], **kwargs) -> Predictions:
    """Rows of (image id, label, score, xmin, ymin, xmax, ymax)."""
    values = np.array(rows, np.float64).reshape(-1, 7)
    return predictions_from_rows(
        np.array(image_ids), values[:, 0], values[:, 1], values[:, 2], values[:, 3:], **kwargs
    )


def test_images_without_boxes_stay_listed():
    empty = table([], [4, 2])
    assert empty.image_ids.tolist() == [2, 4]
    assert empty.offsets.tolist() == [0, 0, 0]
    assert len(empty) == 0
    assert table([], []).offsets.tolist() == [0]


def test_rows_are_grouped_by_image_and_fall_in_score():
    rows = [(9, 1, 0.2, 0, 0, 1, 1), (2, 1, 0.5, 0, 0, 2, 2), (9, 3, 0.7, 0, 0, 3, 3)]
    grouped = table(rows, [9, 5, 2])
    assert grouped.image_ids.tolist() == [2, 5, 9]
    assert grouped.offsets.tolist() == [0, 1, 1, 3]
    assert grouped.labels.tolist() == [1, 3, 1]
    assert grouped.boxes_xyxy[:, 2].tolist() == [2, 3, 1]
    assert grouped.image_id_of_row.tolist() == [2, 9, 9]
    assert grouped.rows(9) == slice(1, 3)
    assert grouped.rows(5) == slice(1, 1)


def test_file_order_is_kept_on_request_and_sorting_is_stable():
    rows = [(1, 1, 0.2, 0, 0, 1, 1), (1, 2, 0.9, 0, 0, 2, 2), (1, 3, 0.9, 0, 0, 3, 3)]
    kept = table(rows, [1], row_order="file")
    assert kept.labels.tolist() == [1, 2, 3]
    assert kept.sorted_by_score().labels.tolist() == [2, 3, 1]
    assert kept.sorted_by_score().sorted_by_score().labels.tolist() == [2, 3, 1]


def test_an_image_that_was_not_predicted_is_a_key_error():
    for image_id in (0, 3, 99):
        with pytest.raises(KeyError):
            table([], [1, 5]).rows(image_id)


def test_a_row_of_an_unknown_image_is_refused():
    with pytest.raises(UserError, match=r"1 rows belong to images .* the first is image 7"):
        table([(7, 1, 0.5, 0, 0, 1, 1)], [1, 9])


def test_columns_are_copies_and_read_only():
    boxes = np.zeros((1, 4))
    made = predictions_from_rows(np.array([1]), [1], [0], [0.5], boxes)
    boxes[0, 0] = -1
    assert made.boxes_xyxy[0, 0] == 0
    with pytest.raises(ValueError):
        made.scores[0] = 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, 0, 1.5, 0, 0, 1, 1), "`scores` is 1.5"),
        ((1, 0, -0.1, 0, 0, 1, 1), "`scores` is -0.1"),
        ((1, 0, float("nan"), 0, 0, 1, 1), "`scores` is nan"),
        ((1, 0, 0.5, 5, 0, 1, 1), "`boxes_xyxy` is"),
        ((1, 0, 0.5, 0, 0, float("inf"), 1), "`boxes_xyxy` is"),
    ],
)
def test_bad_values_are_named_with_row_and_image(row, message):
    with pytest.raises(UserError) as caught:
        table([row], [1, 3])
    assert message in caught.value.what
    assert caught.value.where == "row 0, image 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 1]}, "`offsets` has shape"),
        ({"offsets": [0, 2, 1]}, "`offsets` are off"),
        ({"offsets": [1, 1, 2]}, "`offsets` are off"),
        ({"image_ids": [2, 1]}, "`image_ids` do not rise"),
        ({"image_ids": [1, 1]}, "`image_ids` do not rise"),
        ({"labels": [1]}, "`labels` has shape"),
        ({"scores": [0.1, 0.9]}, "`scores` is"),
        ({"views": [0, 1]}, "`views` is 1"),
        ({"row_order": "any"}, "`row_order` is 'any'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change, message):
    columns = {
        "image_ids": [1, 2],
        "offsets": [0, 2, 2],
        "labels": [0, 0],
        "scores": [0.9, 0.1],
        "boxes_xyxy": np.zeros((2, 4)),
    }
    assert len(Predictions(**columns)) == 2
    with pytest.raises(UserError) as caught:
        Predictions(**{**columns, **change})
    assert message in caught.value.what


def test_scores_may_rise_from_one_image_to_the_next():
    rows = [(1, 0, 0.1, 0, 0, 1, 1), (2, 0, 0.9, 0, 0, 1, 1)]
    assert table(rows, [1, 2]).scores.tolist() == pytest.approx([0.1, 0.9])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 100)), max_size=30), st.data())
def test_grouping_loses_and_invents_nothing(pairs, data):
    rows = [(i, k, s / 100, k, k, k + 1, k + 1) for k, (i, s) in enumerate(pairs)]
    grouped = table(rows, [0, 1, 2, 3, 4])
    for image_id in range(5):
        # Slow and obvious: this image's rows by descending score, ties in file order.
        mine = sorted((r for r in rows if r[0] == image_id), key=lambda r: -np.float32(r[2]))
        assert grouped.labels[grouped.rows(image_id)].tolist() == [r[1] for r in mine]
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    kept = grouped.filtered(keep.astype(bool))
    assert kept.labels.tolist() == grouped.labels[keep.astype(bool)].tolist()
    assert kept.image_id_of_row.tolist() == grouped.image_id_of_row[keep.astype(bool)].tolist()
    assert kept.image_ids.tolist() == [0, 1, 2, 3, 4]


def test_filtering_keeps_the_provenance():
    origin = Provenance(run="a")
    kept = table([(1, 0, 0.5, 0, 0, 1, 1)], [1], provenance=origin).filtered(np.array([False]))
    assert kept.provenance == origin
