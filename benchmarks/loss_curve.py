"""Do the kit's ways to train give the loss curve of mmdet's stock recipe, up to noise?

    python -m benchmarks.loss_curve [--quick] [--device cpu|cuda] [--models tood,tood_dcn]

Training amplifies rounding: two stock runs that begin a ten-millionth apart end with different
losses. That is the noise here: stock fp32 again and again, each time with weights changed by
1e-7 of their size. Curves are averaged over windows of ten steps; two curves are as far apart as
they are in their farthest window. A variant is inside the noise when it is typically (median) no
farther from the stock runs than two of them are from each other. All see the same batches, in the
warm-up of the recipe. Differences that show from the first step are `benchmarks.train_step`'s.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine_line
from benchmarks.training_peers import (
    EPOCH,
    Variant,
    benchmark_config,
    build_peer,
    chosen_variants,
    draw_batch,
    upstreams_ways,
)
from models.engine.libraries.mmdet.epoch_switches import set_epoch_on_network

MODELS = ("tood", "tood_dcn", "retinanet", "yolox")
WINDOW = 10
PERTURBATION = 1e-7
# Batches, seen again and again.
BATCHES = 8


def loss_curve(
    config: Mapping[str, Any],
    variant: Variant,
    device: torch.device,
    steps: int,
    *,
    perturbation_seed: int | None = None,
) -> np.ndarray:
    """Train for `steps` steps of the warm-up and return the (steps,) losses.

    Args:
        config: resolved recipe.
        variant: the way to train.
        device: where.
        steps: number of optimizer steps.
        perturbation_seed: changes the first weights by `PERTURBATION`; None leaves them.
    """
    peer = build_peer(config, variant, device)
    if perturbation_seed is not None:
        _perturb(peer.model, perturbation_seed)
    set_epoch_on_network(peer.model, config, EPOCH)
    size, batch = config["image_size_wh"][0], config["batch_size"]
    losses = []
    with upstreams_ways(variant.is_stock):
        for number in range(steps):
            for group in peer.optimizer.param_groups:
                group["lr"] = config["optimizer"]["lr"] * (number + 1) / (5 * steps)
            losses.append(peer.step(draw_batch(size, batch, seed=number % BATCHES)))
    return np.array(losses)


def _perturb(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight.mul_(1 + PERTURBATION * noise)


def windows(losses: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Return the means of consecutive windows, the last one possibly shorter."""
    return np.array(
        [losses[start : start + window].mean() for start in range(0, len(losses), window)]
    )


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two (steps,) curves are apart in their farthest window."""
    return float(np.abs(windows(one) - windows(other)).max())


def report(
    name: str,
    config: Mapping[str, Any],
    curves: Mapping[str, np.ndarray],
    runs: Sequence[np.ndarray],
) -> None:
    """Print a model's curves, window by window, and which are inside the noise."""
    size, batch = config["image_size_wh"][0], config["batch_size"]
    print(f"\n{name}, {size} px, batch {batch}, {len(runs[0])} steps, windows of {WINDOW}")
    noise = max(distance(one, other) for one, other in combinations(runs, 2))
    mean = np.mean([windows(run) for run in runs], axis=0)
    _row("stock fp32, mean", mean, f"  {len(runs)} runs, up to {noise:.3f} apart")
    for key, curve in curves.items():
        far = statistics.median(distance(curve, run) for run in runs)
        verdict = "inside" if far <= noise else "OUTSIDE"
        _row(key, windows(curve), f"  {far:.3f} apart: {verdict} the noise")


def _row(label: str, values: np.ndarray, end: str) -> None:
    print(f"  {label:<24}" + "".join(f"{value:7.3f}" for value in values) + end, flush=True)


def main() -> None:
    """Measure the wanted models and print their curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smoke-scale models, 20 steps")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated names")
    parser.add_argument("--scale", choices=["smoke", "full"], help="default: full on a GPU")
    parser.add_argument("--size", type=int, help="pixels; default 96 on the CPU, 1024 on a GPU")
    parser.add_argument("--batch", type=int, help="default: the recipe's")
    parser.add_argument("--variants", help="comma-separated; the kit's fp32 is always run")
    parser.add_argument("--runs", type=int, default=5, help="stock runs that give the noise")
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_cpu = device.type == "cpu"
    print(f"{machine_line()}\ntorch {torch.__version__}, {device}")
    scale = arguments.scale or ("smoke" if on_cpu or arguments.quick else "full")
    size = arguments.size or (64 if arguments.quick else 96 if on_cpu else 1024)
    steps = 20 if arguments.quick else arguments.steps
    for name in arguments.models.split(","):
        config = benchmark_config(name, scale, size, arguments.batch)
        stock, *others = chosen_variants(arguments.variants, device)
        runs = [
            loss_curve(config, stock, device, steps, perturbation_seed=seed)
            for seed in range(arguments.runs)
        ]
        curves = {each.name: loss_curve(config, each, device, steps) for each in others}
        report(name, config, curves, runs)
        gc.collect()


if __name__ == "__main__":
    main()
