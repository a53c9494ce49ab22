"""Training samples per second of one loading process, ours against mmdet's pipelines.

    python -m benchmarks.mosaic [--quick]

All pipelines read the same 1024 px JPEG files and take turns; times are processor time of one
thread, the median over the rounds, so other work on the machine hardly moves the ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch

from benchmarks.machine import machine_line
from data_tools.coco.dataset import CocoDataset, coco_from_dict, write_coco
from models.engine.data.augment.mosaic import draw_partners
from models.engine.data.dataset import TrainDataset
from models.engine.data.sample import SampleKey
from models.engine.data.sampler import EpochSampler

WORKERS = 4
"""The measured process is one of four: it sees every fourth batch and a quarter of the cache."""

AFFINE = {"probability": 1.0, "scale": [0.1, 2.0]}
OURS = {
    "plain": {},
    "mosaic 0.5": {"mosaic": 0.5},
    "mosaic": {"mosaic": 1.0},
    "mosaic + affine": {"mosaic": 1.0, "affine": AFFINE},
}

MMDET = ("plain", "Mosaic, half size", "Mosaic + affine", "CachedMosaic + affine")


def draw_dataset(folder: Path, files: int, images: int, side: int) -> CocoDataset:
    """Write noisy pictures; more images than files, by links, so that the cache cannot hold all."""
    rng = np.random.default_rng(0)
    for number in range(files):
        rough = rng.integers(40, 216, (16, 16, 3), dtype=np.uint8)
        smooth = cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 12, (side, side, 3))
        picture = np.clip(smooth + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"file{number}.jpg"), picture)
    names = [f"{number:04d}.jpg" for number in range(images)]
    for number, name in enumerate(names):
        (folder / name).hardlink_to(folder / f"file{number % files}.jpg")
    boxes = [
        {
            "id": 5 * image + box,
            "image_id": image,
            "category_id": 0,
            "bbox": [*corner, side / 7, side / 9],
        }
        for image in range(images)
        for box, corner in enumerate(rng.integers(0, side * 4 // 5, (5, 2)).tolist())
    ]
    return coco_from_dict(
        {
            "images": [
                {"id": number, "file_name": name, "width": side, "height": side}
                for number, name in enumerate(names)
            ],
            "annotations": boxes,
            "categories": [{"id": 0, "name": "thing"}],
        }
    )


def our_samples(coco: CocoDataset, folder: Path, side: int, augment: dict[str, Any]) -> Iterator:
    """Yield samples as the first of `WORKERS` processes makes them, without end."""
    cache_mb = 1024 // WORKERS
    options = {"flip": 0.5, **augment, "cache_mb": cache_mb}
    dataset = TrainDataset(coco, folder, options, (side, side), seed=1, epochs=1000)
    for epoch in range(1000):
        for keys in EpochSampler(len(dataset), 4, seed=1, epoch=epoch):
            if keys[0].batch % WORKERS == 0:
                yield from (dataset[SampleKey(*key)] for key in keys)


def mmdet_samples(annotations: Path, folder: Path, side: int, kind: str) -> Iterator:
    """Yield samples of one of mmdet's pipelines, named as in `MMDET`, without end."""
    from models.engine.ops import mmcv_extension

    mmcv_extension.install()
    import mmdet.datasets  # noqa: F401  registers the transforms
    from mmdet.registry import DATASETS

    load = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_bbox": True}]
    end = [{"type": "RandomFlip", "prob": 0.5}, {"type": "PackDetInputs"}]
    half = -side // 2
    affine = {"type": "RandomAffine", "scaling_ratio_range": (0.1, 2), "border": (half, half)}
    tile = (side // 2, side // 2) if kind == "Mosaic, half size" else (side, side)
    mosaic = {"type": kind.split(",")[0].split(" ")[0], "img_scale": tile, "pad_val": 114.0}
    resize = {"type": "Resize", "scale": (side, side), "keep_ratio": True}
    pipelines = {
        "plain": [*load, resize, *end],
        "CachedMosaic + affine": [*load, {**mosaic, "max_cached_images": 40}, affine, *end],
    }
    config: dict[str, Any] = {
        "type": "CocoDataset",
        "ann_file": str(annotations),
        "data_prefix": {"img": str(folder)},
        "metainfo": {"classes": ("thing",)},
        "pipeline": pipelines.get(kind, load),
    }
    if kind not in pipelines:
        mixed = [mosaic, affine, *end] if "affine" in kind else [mosaic, *end]
        config = {"type": "MultiImageMixDataset", "dataset": config, "pipeline": mixed}
    dataset = DATASETS.build({**config, "_scope_": "mmdet"})
    order = np.random.default_rng(1)
    while True:
        yield from (dataset[int(index)] for index in order.permutation(len(dataset)))


def decoded_per_sample(workers: int, images: int, cached: int) -> float:
    """Count the images that one of `workers` processes decodes for mosaics, per sample.

    Args:
        workers: number of processes.
        images: size of the dataset.
        cached: pictures that the caches of all processes hold together.
    """
    rng = np.random.default_rng(0)
    cache: OrderedDict[int, None] = OrderedDict()
    samples = decoded = 0
    for batch in EpochSampler(images, 4, seed=1):
        for key in batch if batch[0].batch % workers == 0 else []:
            samples += 1
            for index in [key.index, *draw_partners(rng, 3, key.index, key.pool, images)]:
                decoded += index not in cache
                cache[index] = None
                cache.move_to_end(index)
                if len(cache) > cached // workers:
                    cache.popitem(last=False)
    return decoded / samples


def seconds_per_sample(streams: dict[str, Iterator], rounds: int, samples: int) -> dict[str, float]:
    """Return each stream's median processor time per sample; the streams take turns."""
    times: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, stream in streams.items():
            times[name].append(_seconds(lambda stream=stream: next(stream), samples))
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(make: Callable[[], Any], samples: int) -> float:
    start = time.process_time()
    for _ in range(samples):
        make()
    return (time.process_time() - start) / samples


@click.command()
@click.option("--quick", is_flag=True, help="Small pictures and few samples, for tests.")
def main(quick: bool) -> None:
    """Print milliseconds per sample, and ratios of throughput, ours over the other."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    side, files, images, rounds, samples = (128, 4, 64, 2, 8) if quick else (1024, 48, 800, 9, 24)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coco = draw_dataset(folder, files, images, side)
        write_coco(folder / "annotations.json", coco)
        streams = {
            f"ours: {kind}": our_samples(coco, folder, side, augment)
            for kind, augment in OURS.items()
        }
        for kind in MMDET:
            stream = mmdet_samples(folder / "annotations.json", folder, side, kind)
            streams[f"mmdet: {kind}"] = stream
        # A cache has to fill up before its cost per sample is the usual one.
        for stream in streams.values():
            _seconds(lambda stream=stream: next(stream), samples * 2)
        times = seconds_per_sample(streams, rounds, samples)
    click.echo(machine_line())
    click.echo(f"{side} px JPEG, one thread, {rounds} rounds of {samples} samples in turn")
    for label, value in times.items():
        click.echo(f"  {label:32} {1000 * value:8.1f} ms")
    _print_ratios(times)
    click.echo("images decoded per mosaic, 3,900 images of 1024 px kept at half size in 1 GB:")
    for workers in (1, 2, 4, 8, 3, 6, 12, 16):
        decoded = decoded_per_sample(workers, images=3900, cached=(1 << 30) // (512 * 512 * 3))
        click.echo(f"  {workers:2d} workers {decoded:.2f}")


def _print_ratios(times: dict[str, float]) -> None:
    ratios = [
        ("mosaic 1.0 over plain", "ours: plain", "ours: mosaic", 0.8),
        ("mosaic 0.5 over plain", "ours: plain", "ours: mosaic 0.5", None),
        ("mosaic: the same picture by mmdet", "mmdet: Mosaic, half size", "ours: mosaic", 3.0),
        ("with affine: mmdet's", "mmdet: Mosaic + affine", "ours: mosaic + affine", 3.0),
        (
            "with affine: mmdet's cached one",
            "mmdet: CachedMosaic + affine",
            "ours: mosaic + affine",
            None,
        ),
        ("plain: mmdet's", "mmdet: plain", "ours: plain", None),
    ]
    for label, slower, faster, goal in ratios:
        wanted = f" (goal {goal})" if goal else ""
        click.echo(f"  {label:34} {times[slower] / times[faster]:.2f} x{wanted}")


if __name__ == "__main__":
    main()
