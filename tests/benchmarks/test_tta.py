"""The table of gain and cost per test-time view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tta import markdown, one_view, table_rows
from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions
from models.predict import PredictedFile

TRUTH = CocoDataset(
    images=({"id": 1, "file_name": "a.png", "width": 100, "height": 100},),
    annotations=(
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [10, 10, 40, 40], "area": 1600.0,
         "iscrowd": 0},
    ),
    categories=({"id": 2, "name": "x"},),
)  # fmt: skip

WRONG, RIGHT = [60, 60, 90, 90], [10, 10, 50, 50]


def predicted() -> PredictedFile:
    # The plain view's best box is wrong, the flipped view's is right.
    table = Predictions(
        image_ids=[1],
        offsets=[0, 3],
        labels=[2, 2, 2],
        scores=[0.9, 0.8, 0.5],
        boxes_xyxy=[WRONG, RIGHT, RIGHT],
        views=[0, 1, 0],
        provenance=Provenance(dataset=TRUTH.fingerprint, views=("plain", "hflip")),
    )
    return PredictedFile(Path("x"), table, {"plain": 2.0, "hflip": 3.0})


def test_a_view_stands_alone() -> None:
    view = one_view(predicted().predictions, 1)
    assert view.scores.tolist() == [pytest.approx(0.8)]
    np.testing.assert_array_equal(view.boxes_xyxy, [RIGHT])
    assert view.provenance.views == ("plain",)


def test_gain_and_cost() -> None:
    rows = {row["view"]: row for row in table_rows(predicted(), TRUTH)}
    assert list(rows) == ["plain", "hflip", "all"]
    # Plain: the right box comes second, precision 1/2 at recall 1.
    assert rows["plain"]["alone"]["competition_map50"] == pytest.approx(0.5)
    assert rows["hflip"]["alone"]["competition_map50"] == pytest.approx(1.0)
    # Fused: right (0.8 + 0.5) / 2 = 0.65, wrong 0.9 / 2 = 0.45: the right box comes first.
    assert rows["hflip"]["with_plain"]["competition_map50"] == pytest.approx(1.0)
    assert rows["hflip"]["cost"] == pytest.approx(1.5)
    assert rows["all"]["cost"] == pytest.approx(2.5)
    lines = markdown(list(rows.values()))
    assert lines[3].startswith("| hflip | 1.0000 | 1.0000 | +0.5000 |")
    assert lines[3].endswith("| 1.50 |")
