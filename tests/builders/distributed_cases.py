"""Optimizer steps of every mmdet model on four images, alone or as one of several processes.

Started by torchrun as `-m tests.builders.distributed_cases OUT`, it writes what the main process
saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.engine.config.resolve import resolve_config
from models.engine.data.sample import Sample
from models.engine.training.distributed import World, process_group, world_from_environment
from models.engine.training.optimizer import build_optimizer
from models.engine.training.resuming.random_state import seed_everything
from models.engine.training.step import Stepper

CATEGORIES = [{"id": 3, "name": "red"}, {"id": 7, "name": "green"}]
# Boxes of four images: with two processes one gets four boxes, the other one.
BOXES = (
    [[4, 8, 40, 50], [50, 50, 90, 80], [20, 60, 44, 90]],
    [[10, 10, 60, 60]],
    [],
    [[30, 20, 80, 90]],
)
# Model, epoch, weight of a box. TOOD changes assigner and loss after its first epochs, YOLOX adds a
# loss in its last; soft weights change the heads.
CASES = (
    ("tood", 0, 1.0),
    ("tood", 9, 0.5),
    ("tood_dcn", 9, 1.0),
    ("retinanet", 0, 1.0),
    ("retinanet", 0, 0.5),
    ("ssd", 0, 1.0),
    ("ssd", 0, 0.5),
    ("yolox", 0, 1.0),
    ("yolox", 9, 0.5),
)
STEPS = 2


def run_cases(world: World) -> list[list[dict[str, Any]]]:
    """Return loss, its parts and the gradient norm of each step of each case."""
    torch.set_num_threads(1)
    return [_run_case(world, *case) for case in CASES]


def _run_case(world: World, name: str, epoch: int, weight: float) -> list[dict[str, Any]]:
    stepper = _stepper(world, name, epoch, weight)
    share = len(BOXES) // world.size
    results = []
    for step in range(STEPS):
        batch = [sample(10 * step + image, boxes, weight) for image, boxes in enumerate(BOXES)]
        done = stepper.step(batch[world.rank * share :][:share], 1)
        results.append({"loss": done.loss, "norm": done.gradient_norm, **done.losses})
    return results


def _stepper(world: World, name: str, epoch: int, weight: float) -> Stepper:
    from models.engine.libraries.mmdet.detector import MmdetDetector

    overrides = ["schedule.no_augment_epochs=2", "optimizer.type=SGD", "optimizer.lr=0.002"]
    config = resolve_config(name, "smoke", categories=CATEGORIES, overrides=overrides)
    seed_everything(0)
    detector = MmdetDetector(config)
    if weight != 1:
        detector.use_box_weights()
    detector.set_epoch(epoch)
    detector.train()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # the statistics of a batch are shared on GPUs only
    return Stepper(
        detector,
        build_optimizer(detector, config["optimizer"], fused=False),
        precision="fp32",
        clip_grad_norm=None,
        device=torch.device("cpu"),
        world=world,
    )


def sample(number: int, boxes: list[list[int]], weight: float) -> Sample:
    generator = torch.Generator().manual_seed(number)
    # Only the first box of an image is soft.
    weights = torch.tensor([weight, 1.0, 1.0])[: len(boxes)]
    return Sample(
        image=torch.randint(0, 255, (3, 96, 96), dtype=torch.uint8, generator=generator),
        boxes_xyxy=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        weights=weights,
        image_id=number,
        file_name=f"{number}.png",
        source_images=(f"{number}.png",),
        size_wh=(96, 96),
        original_size_wh=(96, 96),
    )


def main(out: str) -> None:
    """Run the cases together with the other processes."""
    world = world_from_environment()
    with process_group(world, torch.device("cpu")):
        results = run_cases(world)
    if world.is_main:
        Path(out).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
