"""The kit's training step and mmdet's stock one, built alike, for the benchmarks that compare them.

Stock is mmdet's detector with mmdet's assignment and loss, torchvision's compiled deformable
convolution in place of mmcv's, mmengine's OptimWrapper or AmpOptimWrapper, plain SGD. The kit is
`models.engine.training.step.Stepper` with the recipe's settings. Both start from equal weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from models.engine.config.resolve import resolve_config
from models.engine.data.sample import Sample
from models.engine.libraries.mmdet.batch import to_model_inputs
from models.engine.libraries.mmdet.detector import MmdetDetector
from models.engine.libraries.mmdet.tood_loss import BatchedTaskAlignment
from models.engine.ops.freed_memory import freed_memory_kept
from models.engine.training.distributed import World
from models.engine.training.optimizer import build_optimizer
from models.engine.training.step import Stepper

CATEGORIES = tuple({"id": number, "name": f"class {number}"} for number in range(10))
MODELS = ("tood", "tood_dcn", "retinanet", "yolox")
# Past TOOD's first 4 epochs, which use another assigner; before YOLOX's last 15.
EPOCH = 10


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


@dataclass(frozen=True)
class Peer:
    """A model that is trained in one of the ways.

    Attributes:
        model: mmdet detector.
        optimizer: its optimizer.
        step: does one optimizer step on a batch and returns the loss.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: Callable[[Sequence[Sample]], float]


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


def draw_batch(size: int, batch: int, seed: int) -> list[Sample]:
    """Draw noise images with five boxes each, in the size range of the competition's.

    A box is painted in the shade of its class, so that there is something to learn.
    """
    rng = np.random.default_rng(seed)
    return [_draw_sample(size, number, rng) for number in range(batch)]


def _draw_sample(size: int, number: int, rng: np.random.Generator) -> Sample:
    low = rng.uniform(0, 0.6, (5, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.06, 0.35, (5, 2))], axis=1) * size
    labels = rng.integers(0, len(CATEGORIES), 5)
    image = rng.integers(0, 256, (3, size, size), dtype=np.uint8)
    for (x0, y0, x1, y1), label in zip(boxes.astype(int), labels, strict=True):
        image[label % 3, y0:y1, x0:x1] = 25 * label
    return Sample(
        image=torch.from_numpy(image),
        boxes_xyxy=torch.tensor(boxes, dtype=torch.float32),
        labels=torch.from_numpy(labels),
        weights=torch.ones(5),
        image_id=number,
        file_name=f"{number}.jpg",
        source_images=(f"{number}.jpg",),
        size_wh=(size, size),
        original_size_wh=(size, size),
    )


@contextmanager
def upstreams_ways(active: bool) -> Iterator[None]:
    """Let what runs inside use torchvision's kernel and mmdet's own assignment and loss.

    mmdet's loss stays out of autocast all the same: inside, CUDA refuses TOOD's
    (open-mmlab/mmdetection 10203), and there would be no AMP to compare with.
    Freed memory goes back to the system, as without the kit; the kit's own steps keep it.
    """
    if not active:
        with freed_memory_kept():
            yield
        return
    with (
        mock.patch("models.engine.ops.deform_conv.choose_method", lambda *_: "torchvision"),
        mock.patch.object(BatchedTaskAlignment, "_is_batched", lambda self: False),
    ):
        yield


def build_peer(config: Mapping[str, Any], variant: Variant, device: torch.device) -> Peer:
    """Build a model with random weights, equal for all variants, and its way to train."""
    torch.manual_seed(0)
    detector = MmdetDetector(config).to(device)
    detector.train()
    if variant.channels_last:
        detector.to(memory_format=torch.channels_last)
    if variant.compiled:
        detector.compile()
    model = detector.network
    if variant.is_stock:
        optimizer = build_optimizer(model, config["optimizer"], fused=False)
        return Peer(model, optimizer, _stock_step(model, optimizer, config, variant, device))
    optimizer = build_optimizer(model, config["optimizer"])
    stepper = Stepper(
        detector,
        optimizer,
        precision=variant.precision,
        clip_grad_norm=config["clip_grad_norm"],
        device=device,
        world=World(),
    )
    return Peer(model, optimizer, lambda samples: stepper.step(samples, 1).loss)


def _stock_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
    variant: Variant,
    device: torch.device,
) -> Callable[[Sequence[Sample]], float]:
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

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


def benchmark_config(
    name: str, scale: str, size: int | None = None, batch: int | None = None
) -> dict[str, Any]:
    """Return a model's recipe with random weights, at another size and batch if given."""
    return resolve_config(
        name,
        scale,
        categories=CATEGORIES,
        overrides=[f"image_size_wh=[{size},{size}]"] if size else [],
        batch_size=batch,
        init="none",
    )


def chosen_variants(wanted: str | None, device: torch.device) -> list[Variant]:
    """Return the variants to run: the named ones, and both fp32 ones to compare with."""
    every = CPU_VARIANTS if device.type == "cpu" else CUDA_VARIANTS
    names = {"stock fp32", "kit fp32", *(wanted.split(",") if wanted else (v.name for v in every))}
    return [variant for variant in every if variant.name in names]
