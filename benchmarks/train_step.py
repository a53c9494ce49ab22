"""One optimizer step of the kit against mmdet's stock recipe: images/s, memory, equal losses.

    python -m benchmarks.train_step [--quick] [--device cpu|cuda] [--models tood,tood_dcn]

What is stock and what the kit's: `benchmarks.training_peers`. All variants see the same batches and
take turns of a few steps, so that other work on the machine hits them alike; the first step of a
turn is not timed. Ratios are of processor time on the CPU and of wall time on a GPU, medians of
the timed steps. "Kept" is what the graph holds for the backward pass; on a GPU it is the peak of
allocated memory. "Loss off by" is the largest relative difference to stock fp32 over the steps: for
whole curves see `benchmarks.loss_curve`. On a busy machine set OMP_WAIT_POLICY=passive and
GOMP_SPINCOUNT=0, or threads that wait count as work.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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
from models.engine.data.sample import Sample
from models.engine.libraries.mmdet.epoch_switches import set_epoch_on_network

MODELS = ("tood", "tood_dcn", "retinanet", "yolox")
TURNS = 2
# Training starts with a warm-up: from random weights the full rate only amplifies rounding.
WARM_UP_SHARE = 0.05


@dataclass
class Measured:
    """What the steps of one variant gave."""

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    kept_mb: float = 0.0
    on_cpu: bool = True

    def cost(self) -> float:
        """Return what a step costs: seconds of a GPU, processor seconds without one."""
        return statistics.median(self.processor_seconds if self.on_cpu else self.seconds)


def measure(
    config: Mapping[str, Any], variants: Sequence[Variant], device: torch.device, steps: int
) -> dict[str, Measured]:
    """Run all variants in turns of `steps / TURNS` timed steps and return what each gave."""
    peers = {variant: build_peer(config, variant, device) for variant in variants}
    on_cpu = device.type == "cpu"
    results = {variant.name: Measured(on_cpu=on_cpu) for variant in variants}
    size, batch = config["image_size_wh"][0], config["batch_size"]
    in_turn = 1 + math.ceil(steps / TURNS)
    for turn in range(TURNS):
        for variant, peer in peers.items():
            set_epoch_on_network(peer.model, config, EPOCH)
            batches = [draw_batch(size, batch, turn * in_turn + n) for n in range(in_turn)]
            with upstreams_ways(variant.is_stock):
                _warm_up(peer.step, batches[0], results[variant.name], device)
                for samples in batches[1:]:
                    _timed_step(peer.step, samples, results[variant.name], device)
    return results


def _warm_up(
    step: Callable[[Sequence[Sample]], float],
    samples: Sequence[Sample],
    result: Measured,
    device: torch.device,
) -> None:
    # Memory is measured here, where it costs no time.
    with kept_memory(device) as kept:
        result.losses.append(step(samples))
    result.kept_mb = kept[0] / 2**20


def _timed_step(
    step: Callable[[Sequence[Sample]], float],
    samples: Sequence[Sample],
    result: Measured,
    device: torch.device,
) -> None:
    wall, processor = _now(device), time.process_time()
    result.losses.append(step(samples))
    result.seconds.append(_now(device) - wall)
    result.processor_seconds.append(time.process_time() - processor)


@contextmanager
def kept_memory(device: torch.device) -> Iterator[list[int]]:
    """Measure the memory of what runs inside: bytes, as the only element of the list."""
    found = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found[0] = torch.cuda.max_memory_allocated() - before
        return
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_leaf:  # Weights are there anyway.
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield found
    found[0] = sum(kept.values())


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def report(name: str, config: Mapping[str, Any], results: Mapping[str, Measured]) -> float:
    """Print a model's table; return what the kit's fp32 step costs in seconds."""
    size, batch = config["image_size_wh"][0], config["batch_size"]
    print(f"\n{name}, {size} px, batch {batch}, {len(results['kit fp32'].seconds)} steps")
    print(f"  {'variant':<26}{'images/s':>9}{'x fp32':>8}{'x AMP':>7}{'cpu s':>8}{'kept':>10}"
          f"{'loss off by':>13}")  # fmt: skip
    cost = {key: value.cost() for key, value in results.items()}
    reference = results["stock fp32"].losses
    amp = cost.get("stock AMP", float("nan"))
    for key, value in results.items():
        off = max(abs(a - b) / abs(b) for a, b in zip(value.losses, reference, strict=True))
        print(
            f"  {key:<26}{batch / statistics.median(value.seconds):>9.2f}"
            f"{cost['stock fp32'] / cost[key]:>7.2f}x{amp / cost[key]:>6.2f}x"
            f"{statistics.median(value.processor_seconds):>8.2f}{value.kept_mb:>7.0f} MB"
            f"{off:>13.1e}",
            flush=True,
        )
    return cost["kit fp32"]


def main() -> None:
    """Measure the wanted models and print a table each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smoke-scale models, two steps")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated names")
    parser.add_argument("--size", type=int, help="pixels; default 320 on the CPU, 1024 on a GPU")
    parser.add_argument("--batch", type=int, help="default 2 on the CPU, the recipe's on a GPU")
    parser.add_argument("--variants", help="comma-separated; both fp32 ones are always run")
    parser.add_argument("--steps", type=int, help="timed; default 4 on the CPU, 100 on a GPU")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_cpu = device.type == "cpu"
    print(
        f"{machine_line()}\ntorch {torch.__version__}, {device}, {torch.get_num_threads()} threads"
    )
    seconds = {}
    for name in arguments.models.split(","):
        scale = "smoke" if arguments.quick else "full"
        size = arguments.size or (64 if arguments.quick else 320 if on_cpu else 1024)
        config = benchmark_config(name, scale, size, arguments.batch or (2 if on_cpu else None))
        config["optimizer"]["lr"] *= WARM_UP_SHARE
        steps = arguments.steps or (2 if arguments.quick else 4 if on_cpu else 100)
        variants = chosen_variants(arguments.variants, device)
        seconds[name] = report(name, config, measure(config, variants, device, steps))
        gc.collect()
    if {"tood", "tood_dcn"} <= seconds.keys():
        ratio = seconds["tood_dcn"] / seconds["tood"]
        print(f"\ndeformable convolution costs: tood_dcn / tood = {ratio:.2f}")


if __name__ == "__main__":
    main()
