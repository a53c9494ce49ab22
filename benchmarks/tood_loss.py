"""TOOD's loss, backward pass included: the kit's batched one against mmdet's.

    python -m benchmarks.tood_loss [--quick] [--device cpu|cuda]

Both heads get the same maps of a 1024 px batch of 6 with five boxes per image. Besides the time
(processor time on the CPU) it counts operator calls: on a GPU each is at least one kernel launch,
and while the host waits for results the GPU idles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.machine import machine_line
from models.engine.libraries.mmdet.library import ConfigDict, InstanceData, MessageHub, TOODHead
from models.engine.libraries.mmdet.modules import TaskAlignedHead
from models.tood.recipe import FULL

CLASSES, BOXES = 10, 5
STRIDES = (8, 16, 32, 64, 128)


def make_head(kind: type, device: torch.device) -> Any:
    """Return a head with TOOD's recipe; only its loss is used."""
    architecture = ConfigDict(FULL["architecture"])
    options = {key: value for key, value in architecture.bbox_head.items() if key != "type"}
    return kind(
        **{**options, "num_classes": CLASSES, "in_channels": 8, "feat_channels": 8,
           "stacked_convs": 1, "norm_cfg": None},
        train_cfg=architecture.train_cfg, test_cfg=architecture.test_cfg,
    ).to(device)  # fmt: skip


def draw(size: int, batch: int, device: torch.device) -> tuple[list, list, list, list]:
    """Draw probabilities, boxes around each cell, true boxes and image descriptions."""
    generator = torch.Generator().manual_seed(0)
    scores, boxes = [], []
    for stride in STRIDES:
        side = max(1, size // stride)
        scores.append(torch.rand(batch, CLASSES, side, side, generator=generator))
        y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        reach = torch.rand(batch, 4, side, side, generator=generator) * 6
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0]).view(1, 4, 1, 1)
        boxes.append(torch.stack([x, y, x, y]).float() + signs * reach)
    truth = []
    for _ in range(batch):
        low = torch.rand(BOXES, 2, generator=generator) * size * 0.6
        sides = (torch.rand(BOXES, 2, generator=generator) * 0.3 + 0.03) * size
        labels = torch.randint(0, CLASSES, (BOXES,), generator=generator).to(device)
        truth.append(
            InstanceData(bboxes=torch.cat([low, low + sides], 1).to(device), labels=labels)
        )
    metas = [{"pad_shape": (size, size), "img_shape": (size, size)}] * batch
    return [s.to(device) for s in scores], [b.to(device) for b in boxes], truth, metas


def loss_step(head: Any, drawn: tuple[list, list, list, list]) -> Callable[[], float]:
    """Return a function that does one loss with its backward pass and returns the loss."""
    scores, boxes, truth, metas = drawn

    def step() -> float:
        leaves = [tensor.detach().requires_grad_() for tensor in (*scores, *boxes)]
        count = len(scores)
        losses = head.loss_by_feat(leaves[:count], leaves[count:], truth, metas)
        values = [value for part in losses.values() for value in
                  (part if isinstance(part, list) else [part])]  # fmt: skip
        total = torch.stack([value.sum() for value in values]).sum()
        total.backward()
        return float(total)

    return step


def seconds_of(step: Callable[[], float], device: torch.device, repeats: int) -> float:
    """Return the seconds of one step, the mean of a few: the clock counts in up to 10 ms."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    for _ in range(repeats):
        step()  # Ends with the loss on the host, so the device is done.
    return (clock() - start) / repeats


def operator_calls(step: Callable[[], float]) -> int:
    """Return how many operators one step calls."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    return sum(event.count for event in profiled.key_averages() if event.key.startswith("aten::"))


def main() -> None:
    """Print times, operator calls and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small picture, to try the script")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    drawn = draw(128 if arguments.quick else 1024, 2 if arguments.quick else 6, device)
    MessageHub.get_current_instance().update_info("epoch", 10)
    heads = {"mmdet": make_head(TOODHead, device), "kit": make_head(TaskAlignedHead, device)}
    steps = {name: loss_step(head, drawn) for name, head in heads.items()}
    losses = {name: step() for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(2 if arguments.quick else 7):
        for name, step in steps.items():
            times[name].append(seconds_of(step, device, 1 if arguments.quick else 10))
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{machine_line()}\ntorch {torch.__version__}, {device}")
    for name, step in steps.items():
        print(f"  {name:<8}{median[name] * 1e3:>8.1f} ms{median['mmdet'] / median[name]:>7.2f}x"
              f"{operator_calls(step):>8} operators   loss {losses[name]:.6f}")  # fmt: skip


if __name__ == "__main__":
    main()
