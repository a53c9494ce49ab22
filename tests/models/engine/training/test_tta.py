"""Views: each one's boxes come back to the pixels of the image file, and are kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from models.engine.data.eval_dataset import EvalSample
from models.engine.detector import DetectedBoxes
from models.engine.training.evaluate import detect, detection_rows, eval_dataset
from models.engine.training.tta import join_views
from models.predict import all_views
from tests.builders.toy_detector import ToyDetector

CONFIG = {
    "image_size_wh": [96, 96],
    "augment": {"resize": {"mode": "keep_ratio", "pad_value": 114}},
}


class RedFinder(ToyDetector):
    """A detector that finds the one red rectangle of a picture, wherever a view puts it."""

    def predict(self, batch: Sequence[EvalSample]) -> list[DetectedBoxes]:
        assert not self.training
        return [self._found(sample.image) for sample in batch]

    def _found(self, image: torch.Tensor) -> DetectedBoxes:
        rows, columns = torch.nonzero(image[2] > 128, as_tuple=True)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return DetectedBoxes(
            boxes_xyxy=torch.stack(box).float()[None],
            scores=torch.tensor([0.75]),
            labels=torch.tensor([1]),
        )


@pytest.fixture
def picture(tmp_path: Path) -> CocoDataset:
    # 96 x 48, a red box at (12, 6)..(36, 30): nothing about it is symmetric.
    pixels = np.zeros((48, 96, 3), np.uint8)
    pixels[6:30, 12:36, 2] = 255
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    image = {"id": 5, "file_name": "a.png", "width": 96, "height": 48}
    return CocoDataset((image,), (), ({"id": 4, "name": "x"}, {"id": 9, "name": "y"}))


def detect_view(picture: CocoDataset, root: Path, view: str) -> list:
    model = RedFinder({"classes": ["x", "y"]}).train()
    dataset = eval_dataset(CONFIG, picture, root, view)
    found = detect(model, dataset, device=torch.device("cpu"))
    assert model.training  # put back as it was
    return found


@pytest.mark.parametrize(
    ("view", "tolerance"),
    [
        ("plain", 0), ("hflip", 0), ("vflip", 0), ("rot90", 0), ("rot180", 0), ("rot270", 0),
        ("scale2", 1), ("scale0.5", 2), ("hflip+rot90", 0), ("hflip+scale2", 1),
    ],
)  # fmt: skip
def test_boxes_come_back(picture: CocoDataset, tmp_path: Path, view: str, tolerance: float) -> None:
    (found,) = detect_view(picture, tmp_path, view)
    assert found.image_id == 5
    np.testing.assert_allclose(found.boxes_xyxy, [[12, 6, 36, 30]], atol=tolerance)


def test_category_ids_at_the_border_and_views_apart(picture: CocoDataset, tmp_path: Path) -> None:
    columns = [
        detection_rows(detect_view(picture, tmp_path, view), [4, 9]) for view in ("plain", "hflip")
    ]
    table = join_views(columns, picture, Provenance(views=("plain", "hflip")))
    assert table.labels.tolist() == [9, 9]
    assert table.views.tolist() == [0, 1]
    assert table.image_ids.tolist() == [5]


def test_no_boxes_at_all(picture: CocoDataset) -> None:
    table = join_views([detection_rows([], [4, 9])], picture, Provenance())
    assert len(table) == 0
    assert table.image_ids.tolist() == [5]


def test_the_plain_view_is_always_first() -> None:
    assert all_views(()) == ("plain",)
    assert all_views(("hflip", "scale1.25")) == ("plain", "hflip", "scale1.25")
    assert all_views(("plain", "hflip")) == ("plain", "hflip")
    with pytest.raises(UserError, match="not a view"):
        all_views(("sideways",))
    with pytest.raises(UserError, match="given twice"):
        all_views(("hflip", "hflip"))


def test_boxes_without_area_or_number_are_left_out(tmp_path: Path, picture: CocoDataset) -> None:
    class Odd(RedFinder):
        def _found(self, image: torch.Tensor) -> DetectedBoxes:
            nan = float("nan")
            boxes = [[1, 1, 5, 5], [3, 3, 3, 9], [200, 1, 300, 5], [nan, 0, 1, 1], [1, 1, 5, 5]]
            return DetectedBoxes(
                boxes_xyxy=torch.tensor(boxes),
                scores=torch.tensor([0.5, 0.5, 0.5, 0.5, nan]),
                labels=torch.zeros(5, dtype=torch.int64),
            )

    dataset = eval_dataset(CONFIG, picture, tmp_path)
    (found,) = detect(Odd({"classes": ["x", "y"]}), dataset, device=torch.device("cpu"))
    np.testing.assert_array_equal(found.boxes_xyxy, [[1, 1, 5, 5]])
