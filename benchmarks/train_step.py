"""One optimizer step of the kit against mmdet's stock recipe: images/s, memory, equal losses.

    python -m benchmarks.train_step [--quick] [--device cpu|cuda] [--models tood,tood_dcn]

Stock is mmdet's detector with mmdet's assignment and loss, torchvision's compiled deformable
convolution in place of mmcv's, mmengine's OptimWrapper or AmpOptimWrapper, plain SGD. The kit
is `models.training.step.Stepper` with the recipe's settings. All variants start from equal
weights, see the same batches and take turns, so that other work on the machine hits them alike.
Ratios are of processor time on the CPU and of wall time on a GPU, medians of the steps after
the first. "Kept" is what the graph holds for the backward pass; on a GPU it is the peak of
allocated memory. On a busy machine set OMP_WAIT_POLICY=passive and GOMP_SPINCOUNT=0, or threads
that wait count as work.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from benchmarks.machine import machine_line
from models.build import build_detector
from models.config import resolve_config
from models.data.sample import Sample
from models.performance.tood_loss import BatchedTaskAlignment
from models.training.batch import to_model_inputs
from models.training.distributed import World
from models.training.epoch_switches import set_epoch_on_model
from models.training.optimizer import build_optimizer
from models.training.step import Stepper

CATEGORIES = tuple({"id": number, "name": f"class {number}"} for number in range(10))
MODELS = ("tood", "tood_dcn", "retinanet", "yolox")
# Past TOOD's first 4 epochs, which use another assigner; before YOLOX's last 15.
EPOCH = 10
WARM_UP_SHARE = 0.05


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: as printed.
        is_stock: mmdet's recipe instead of the kit's.
        precision: fp32, bf16 or fp16.
        channels_last: memory layout of images and weights.
        compiled: torch.compile of backbone and neck.
    """

    name: str
    is_stock: bool = False
    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool = False


CPU_VARIANTS = (
    Variant("stock fp32", is_stock=True),
    Variant("stock AMP", is_stock=True, precision="bf16"),
    Variant("kit fp32"),
    Variant("kit fp32 channels-last", channels_last=True),
    Variant("kit bf16", precision="bf16"),
)
# mmengine's AMP is fp16 on a GPU; on the CPU only bf16 has fast kernels.
CUDA_VARIANTS = (
    Variant("stock fp32", is_stock=True),
    Variant("stock AMP", is_stock=True, precision="fp16"),
    Variant("kit fp32"),
    Variant("kit bf16", precision="bf16"),
    Variant("kit bf16 channels-last", precision="bf16", channels_last=True),
    Variant("kit bf16 c-last compiled", precision="bf16", channels_last=True, compiled=True),
)


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


def draw_batch(size: int, batch: int, seed: int) -> list[Sample]:
    """Draw noise images with five boxes each, in the size range of the competition's."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(batch):
        low = rng.uniform(0, 0.6, (5, 2))
        boxes = np.concatenate([low, low + rng.uniform(0.06, 0.35, (5, 2))], axis=1) * size
        samples.append(
            Sample(
                image=torch.from_numpy(rng.integers(0, 256, (3, size, size), dtype=np.uint8)),
                boxes_xyxy=torch.tensor(boxes, dtype=torch.float32),
                labels=torch.from_numpy(rng.integers(0, len(CATEGORIES), 5)),
                weights=torch.ones(5),
                image_id=number,
                file_name=f"{number}.jpg",
                source_images=(f"{number}.jpg",),
                size_wh=(size, size),
                original_size_wh=(size, size),
            )
        )
    return samples


@contextmanager
def upstreams_operators(active: bool) -> Iterator[None]:
    """Let what runs inside use torchvision's kernel and mmdet's own assignment and loss.

    mmdet's loss stays out of autocast all the same: inside, CUDA refuses TOOD's
    (open-mmlab/mmdetection 10203), and there would be no AMP to compare with.
    """
    if not active:
        yield
        return
    with (
        mock.patch("models.ops.deform_conv.choose_method", lambda *_: "torchvision"),
        mock.patch.object(BatchedTaskAlignment, "_is_batched", lambda self: False),
    ):
        yield


def stepping_function(
    config: Mapping[str, Any], variant: Variant, device: torch.device
) -> tuple[nn.Module, Callable[[Sequence[Sample]], float]]:
    """Build a variant; the function does one step and returns its loss."""
    torch.manual_seed(0)
    model = build_detector(config).to(device).train()
    if variant.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if variant.compiled:
        model.backbone.compile()
        model.neck.compile()
    if variant.is_stock:
        return model, _stock_step(model, config, variant, device)
    stepper = Stepper(
        model,
        build_optimizer(model, config["optimizer"]),
        precision=variant.precision,
        clip_grad_norm=config["clip_grad_norm"],
        device=device,
        world=World(),
    )
    return model, lambda samples: stepper.step(samples, 1).loss


def _stock_step(
    model: nn.Module, config: Mapping[str, Any], variant: Variant, device: torch.device
) -> Callable[[Sequence[Sample]], float]:
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

    optimizer = build_optimizer(model, config["optimizer"], fused=False)
    options = {"optimizer": optimizer, "clip_grad": {"max_norm": config["clip_grad_norm"]}}
    if variant.precision == "fp32":
        wrapper = OptimWrapper(**options)
    else:
        dtype = {"bf16": "bfloat16", "fp16": "float16"}[variant.precision]
        with mock.patch("torch.cuda.is_available", lambda: True):  # it asks even for the CPU
            wrapper = AmpOptimWrapper(dtype=dtype, loss_scale="dynamic", **options)

    def step(samples: Sequence[Sample]) -> float:
        # AmpOptimWrapper's own context is made for a GPU; the same one for the device at hand.
        half = variant.precision != "fp32"
        context = torch.autocast(device.type, getattr(torch, dtype)) if half else nullcontext()
        data = model.data_preprocessor(to_model_inputs(samples), True)
        with context:
            losses = model._run_forward(data, mode="loss")
        loss, log = model.parse_losses(losses)
        wrapper.update_params(loss)
        return float(log["loss"])

    return step


def measure(
    config: Mapping[str, Any], variants: Sequence[Variant], device: torch.device, steps: int
) -> dict[str, Measured]:
    """Run all variants in turn and return what each gave."""
    built = {variant: stepping_function(config, variant, device) for variant in variants}
    on_cpu = device.type == "cpu"
    results = {variant.name: Measured(on_cpu=on_cpu) for variant in variants}
    size, batch = config["image_size_wh"][0], config["batch_size"]
    for number in range(steps + 1):
        samples = draw_batch(size, batch, seed=number)
        for variant, (model, step) in built.items():
            set_epoch_on_model(model, config, EPOCH)
            with upstreams_operators(variant.is_stock):
                _one_step(step, samples, results[variant.name], device, is_first=number == 0)
    return results


def _one_step(
    step: Callable[[Sequence[Sample]], float],
    samples: Sequence[Sample],
    result: Measured,
    device: torch.device,
    *,
    is_first: bool,
) -> None:
    if is_first:  # Warms up; memory is measured here, where it costs no time.
        with kept_memory(device) as kept:
            result.losses.append(step(samples))
        result.kept_mb = kept[0] / 2**20
        return
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
    parser.add_argument("--quick", action="store_true", help="smoke-scale models, one step")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated names")
    parser.add_argument("--size", type=int, help="pixels; default 320 on the CPU, 1024 on a GPU")
    parser.add_argument("--batch", type=int, help="default 2 on the CPU, the recipe's on a GPU")
    parser.add_argument("--variants", help="comma-separated; both fp32 ones are always run")
    parser.add_argument("--steps", type=int, help="default 5 on the CPU, 100 on a GPU")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_cpu = device.type == "cpu"
    print(
        f"{machine_line()}\ntorch {torch.__version__}, {device}, {torch.get_num_threads()} threads"
    )
    seconds = {}
    for name in arguments.models.split(","):
        config = benchmark_config(name, arguments, on_cpu)
        steps = arguments.steps or (1 if arguments.quick else 5 if on_cpu else 100)
        variants = chosen_variants(arguments.variants, device)
        seconds[name] = report(name, config, measure(config, variants, device, steps))
        gc.collect()
    if {"tood", "tood_dcn"} <= seconds.keys():
        ratio = seconds["tood_dcn"] / seconds["tood"]
        print(f"\ndeformable convolution costs: tood_dcn / tood = {ratio:.2f}")


def chosen_variants(wanted: str | None, device: torch.device) -> list[Variant]:
    """Return the variants to run: the named ones, and both fp32 ones to compare with."""
    every = CPU_VARIANTS if device.type == "cpu" else CUDA_VARIANTS
    names = {"stock fp32", "kit fp32", *(wanted.split(",") if wanted else (v.name for v in every))}
    return [variant for variant in every if variant.name in names]


def benchmark_config(name: str, arguments: argparse.Namespace, on_cpu: bool) -> dict[str, Any]:
    """Return a model's recipe at the benchmark's size, with random weights."""
    size = arguments.size or (64 if arguments.quick else 320 if on_cpu else 1024)
    batch = arguments.batch or (2 if on_cpu else None)
    config = resolve_config(
        name,
        "smoke" if arguments.quick else "full",
        categories=CATEGORIES,
        overrides=[f"image_size_wh=[{size},{size}]"],
        batch_size=batch,
        init="none",
    )
    # Training starts with a warm-up: from random weights the full rate only amplifies rounding.
    config["optimizer"]["lr"] *= WARM_UP_SHARE
    return config


if __name__ == "__main__":
    main()
