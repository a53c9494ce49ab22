"""mmdet's detectors keep the engine's contract, and mmdet's own names of weights."""

from __future__ import annotations

import pytest
import torch

from models.engine.config.resolve import resolve_config
from models.engine.libraries.mmdet.detector import MmdetDetector
from tests.builders.distributed_cases import BOXES, CATEGORIES, sample


@pytest.fixture(scope="module")
def detector() -> MmdetDetector:
    torch.manual_seed(0)
    return MmdetDetector(resolve_config("yolox", "smoke", categories=CATEGORIES))


def test_checkpoints_have_mmdets_names(detector: MmdetDetector) -> None:
    names = list(detector.state_dict())
    assert names == list(detector.network.state_dict())
    assert {name.split(".")[0] for name in names} == {"backbone", "neck", "bbox_head"}
    weights = {name: torch.full_like(value, 2) for name, value in detector.state_dict().items()}
    other = MmdetDetector(detector.config)
    other.load_state_dict(weights)
    assert all((value == 2).all() for value in other.state_dict().values())


def test_losses_are_named_numbers(detector: MmdetDetector) -> None:
    batch = [sample(number, boxes, 1.0) for number, boxes in enumerate(BOXES)]
    losses = detector.train().loss(batch)
    assert set(losses) == {"loss_cls", "loss_bbox", "loss_obj"}
    assert all(value.shape == () and value.requires_grad for value in losses.values())


def test_the_last_epochs_add_yoloxs_other_loss(detector: MmdetDetector) -> None:
    batch = [sample(number, boxes, 1.0) for number, boxes in enumerate(BOXES)]
    detector.set_epoch(detector.config["epochs"] - 1)
    assert "loss_l1" in detector.train().loss(batch)
    detector.set_epoch(0)
    assert "loss_l1" not in detector.loss(batch)


def test_moving_it_tells_the_preprocessor_where_pictures_go(detector: MmdetDetector) -> None:
    other = MmdetDetector(detector.config)
    assert other.to("meta") is other
    assert other.network.data_preprocessor.device == torch.device("meta")
    assert next(other.parameters()).device == torch.device("meta")
