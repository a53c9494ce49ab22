"""Puts a training run together from its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from data_tools.predictions.files import write_predictions
from models.engine.data.sampler import EpochSampler
from models.engine.detector import BuildDetector, Detector
from models.engine.runs.folder import read_run, run_provenance
from models.engine.runs.restart import noted_micro_batch
from models.engine.training.device import placed
from models.engine.training.distributed import World, barrier
from models.engine.training.ema import WeightAverage
from models.engine.training.evaluate import (
    detect,
    eval_dataset,
    to_predictions,
    validation_scores,
)
from models.engine.training.loop import Trainer
from models.engine.training.memory import MicroBatches
from models.engine.training.optimizer import build_optimizer
from models.engine.training.resuming.interrupt import Interruption, InterruptRequest
from models.engine.training.resuming.random_state import seed_everything
from models.engine.training.step import Stepper
from models.engine.training.watching.display import Display

if TYPE_CHECKING:
    from models.engine.data.dataset import TrainDataset
    from models.engine.data.eval_dataset import EvalDataset
    from models.engine.runs.request import PreparedRun

# Why boxes of an annotation table are not trained on, or not as they stand.
LEFT_OUT = {
    "crowd": "crowd boxes left out",
    "outside_image": "boxes outside their image left out",
    "under_one_pixel": "boxes narrower or lower than a pixel left out",
    "clipped": "boxes clipped to their image",
}


def build_detector(
    build: BuildDetector, config: Mapping[str, Any], device: torch.device, world: World
) -> Detector:
    """Return the detector with random weights, on its device, ready for several processes."""
    seed_everything(config["seed"])
    detector = build(config).to(device)
    if world.size > 1 and device.type == "cuda":
        # The batch is that of all GPUs together, so its statistics are too.
        detector = nn.SyncBatchNorm.convert_sync_batchnorm(detector)
    detector = placed(detector, device, config)
    if config["performance"]["compile"]:
        # In place: the names of the weights stay as they are.
        detector.compile()
    return detector


def load_first_weights(detector: Detector, world: World, report: Callable[[str], None]) -> None:
    """Load what `init` names; one process fetches the file, the others then find it."""
    if world.is_main:
        loaded = detector.load_initial_weights()
        if loaded is not None:
            report(f"initial weights: {loaded}")
    barrier(world)
    if not world.is_main:
        detector.load_initial_weights()


def build_trainer(
    run: PreparedRun,
    detector: Detector,
    *,
    world: World,
    device: torch.device,
    display: Display,
    interrupt: InterruptRequest,
) -> Trainer:
    """Return a trainer at the beginning of its run; it has no log yet."""
    config, ema = run.config, run.config["ema"]
    share = world.share_of_batch(config["batch_size"])
    dataset = _train_dataset(run)
    for reason, count in dataset.table.left_out.items():
        if count:
            display.message(f"train: {count} {LEFT_OUT[reason]}")
    if (dataset.table.weights != 1).any():
        detector.use_box_weights()
    val_dataset = eval_dataset(config, run.data.val, run.data.image_root)
    # Every process starts from the same weights and then draws its own random numbers.
    seed_everything(config["seed"] + world.rank)
    return Trainer(
        config=config,
        paths=run.paths,
        detector=detector,
        stepper=_stepper(config, detector, device, world),
        average=None if ema is None else WeightAverage(detector, ema["momentum"], ema["gamma"]),
        dataset=dataset,
        sampler=_sampler(config, len(dataset), world),
        evaluate=_evaluation(run, detector, val_dataset, world, device, interrupt),
        micro_batches=MicroBatches(
            share,
            _micro_batch(run),
            display.message,
            is_alone=world.size == 1,
        ),
        world=world,
        log=None,
        display=display,
        interrupt=interrupt,
    )


def _micro_batch(run: PreparedRun) -> int:
    """Return the images at a time to begin with: what is asked for, or less if that did not fit."""
    sizes = (run.config["performance"]["micro_batch"], noted_micro_batch(run.paths))
    return min((size for size in sizes if size), default=0)


def _train_dataset(run: PreparedRun) -> TrainDataset:
    from models.engine.data.dataset import TrainDataset

    config = run.config
    return TrainDataset(
        run.data.train,
        run.data.image_root,
        config["augment"],
        config["image_size_wh"],
        config["seed"],
        config["epochs"],
        config["window"],
    )


def _sampler(config: Mapping[str, Any], images: int, world: World) -> EpochSampler:
    return EpochSampler(
        images,
        config["batch_size"],
        config["seed"],
        rank=world.rank,
        world_size=world.size,
        repeat=config["repeat"],
    )


def _stepper(
    config: Mapping[str, Any], detector: Detector, device: torch.device, world: World
) -> Stepper:
    fused = config["performance"]["fused_optimizer"]
    return Stepper(
        detector,
        build_optimizer(detector, config["optimizer"], fused=fused),
        precision=config["precision"],
        clip_grad_norm=config["clip_grad_norm"],
        device=device,
        world=world,
    )


def _evaluation(
    run: PreparedRun,
    detector: Detector,
    dataset: EvalDataset,
    world: World,
    device: torch.device,
    interrupt: InterruptRequest,
) -> Callable[[int], Mapping[str, Any]]:
    """Return what predicts and scores the validation fold after an epoch.

    Each epoch's predictions are kept: runs of different length can then be compared image by image
    at the time or epoch that they share.
    """
    config = run.config

    def stop_if_asked(images: int) -> None:
        # The epoch's checkpoint is saved already. Several processes must stop at the same step.
        if interrupt.signal_number and world.size == 1:
            raise Interruption(interrupt.signal_number)

    def evaluate(epoch: int) -> Mapping[str, Any]:
        detections = detect(
            detector,
            dataset,
            device=device,
            precision=config["precision"],
            batch_size=max(1, config["batch_size"] // world.size),
            workers=config["workers"],
            world=world,
            report=stop_if_asked,
        )
        provenance = run_provenance(read_run(run.paths), run.data.val, ("plain",))
        predictions = to_predictions(detections, config["category_ids"], run.data.val, provenance)
        if world.is_main:
            write_predictions(run.paths.epoch_predictions(epoch), predictions)
        return validation_scores(predictions, run.data.val)

    return evaluate
