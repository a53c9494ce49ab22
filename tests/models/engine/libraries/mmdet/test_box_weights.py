"""A box's weight multiplies its terms of the loss, in every detector."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from models.engine.config.resolve import resolve_config
from models.engine.data.sample import Sample
from models.engine.libraries.mmdet.box_weights import AssignmentRecorder, use_box_weights
from models.engine.libraries.mmdet.epoch_switches import set_epoch_on_network
from models.engine.training.resuming.random_state import seed_everything

CATEGORIES = [{"id": 3, "name": "red"}, {"id": 7, "name": "green"}]
# TOOD changes loss and assigner after its first epochs, YOLOX adds an L1 loss in its last.
CASES = [("tood", 0), ("tood", 9), ("retinanet", 0), ("ssd", 0), ("yolox", 0), ("yolox", 9)]


@cache
def built(name: str) -> tuple[nn.Module, dict]:
    from models.engine.libraries.mmdet.build import build_network

    torch.set_num_threads(1)
    config = resolve_config(
        name, "smoke", categories=CATEGORIES, overrides=["schedule.no_augment_epochs=2"]
    )
    seed_everything(0)
    return build_network(config), config


def sample(number: int, boxes: list[list[float]], weights: list[float]) -> Sample:
    generator = torch.Generator().manual_seed(number)
    return Sample(
        image=torch.randint(0, 255, (3, 128, 128), dtype=torch.uint8, generator=generator),
        boxes_xyxy=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        weights=torch.tensor(weights),
        image_id=number,
        file_name=f"{number}.png",
        source_images=(f"{number}.png",),
        size_wh=(128, 128),
        original_size_wh=(128, 128),
    )


FIRST = [[10.0, 10.0, 50.0, 60.0], [70.0, 60.0, 120.0, 110.0]]
SECOND = [[20.0, 30.0, 90.0, 100.0]]


def losses(name: str, epoch: int, weights: list[float], *, weighted: bool = True) -> dict:
    from models.engine.libraries.mmdet.batch import to_model_inputs

    model, config = built(name)
    # A fresh head each time would have other weights: change this one and change it back.
    before = dict(model.bbox_head.__dict__)
    modules = dict(model.bbox_head._modules)
    try:
        if weighted:
            use_box_weights(model.bbox_head)
        set_epoch_on_network(model, config, epoch)
        model.eval()  # BN as it is: every call sees the same network
        batch = [sample(1, FIRST, weights[:2]), sample(2, SECOND, weights[2:]), sample(3, [], [])]
        data = model.data_preprocessor(to_model_inputs(batch), True)
        with torch.no_grad():
            _, named = model.parse_losses(model.loss(data["inputs"], data["data_samples"]))
        return {key: value.item() for key, value in named.items()}
    finally:
        model.bbox_head.__dict__.clear()
        model.bbox_head.__dict__.update(before)
        model.bbox_head._modules.clear()
        model.bbox_head._modules.update(modules)


@pytest.mark.parametrize(("name", "epoch"), CASES)
def test_weight_one_is_the_plain_loss(name: str, epoch: int) -> None:
    plain = losses(name, epoch, [1.0, 1.0, 1.0], weighted=False)
    assert losses(name, epoch, [1.0, 1.0, 1.0]) == pytest.approx(plain, rel=1e-5)
    # Without the change a head does not look at weights.
    assert losses(name, epoch, [0.1, 0.1, 0.1], weighted=False) == plain


@pytest.mark.parametrize(("name", "epoch"), CASES)
def test_half_a_weight_is_half_way(name: str, epoch: int) -> None:
    none = losses(name, epoch, [1.0, 0.0, 1.0])
    half = losses(name, epoch, [1.0, 0.5, 1.0])
    full = losses(name, epoch, [1.0, 1.0, 1.0])
    for key in full:
        assert half[key] == pytest.approx((none[key] + full[key]) / 2, rel=1e-4), key
    assert none["loss"] < full["loss"]


@pytest.mark.parametrize(("name", "epoch"), CASES)
def test_weight_zero_everywhere_leaves_no_box_terms(name: str, epoch: int) -> None:
    none = losses(name, epoch, [0.0, 0.0, 0.0])
    full = losses(name, epoch, [1.0, 1.0, 1.0])
    assert full["loss_bbox"] > 0
    assert none["loss_bbox"] == pytest.approx(0, abs=1e-6)
    assert none["loss_cls"] < full["loss_cls"]


def test_recorder_hands_the_samplers_result_through() -> None:
    class Result:
        pos_inds = torch.tensor([4, 9])
        pos_assigned_gt_inds = torch.tensor([1, 0])

    class Sampler:
        def sample(self, *arguments: object) -> Result:
            return Result()

    class Truth:
        weights = torch.tensor([0.25, 0.75])

    recorder = AssignmentRecorder(Sampler())
    assert isinstance(recorder.sample(None, None, Truth()), Result)
    positions, weights = recorder.positives[0]
    assert positions.tolist() == [4, 9]
    assert weights.tolist() == [0.75, 0.25]
