"""Builds everything that a training run of an mmdet detector needs, trains, and sums up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from torch import nn

from data_tools.errors import UserError
from data_tools.files import write_json
from models.build import build_detector
from models.run_folder import now_text, update_run
from models.training.checkpoint import load_last
from models.training.distributed import World, barrier, process_group, world_from_environment
from models.training.ema import WeightAverage
from models.training.evaluate import detect, eval_dataset, to_predictions
from models.training.interrupt import InterruptRequest
from models.training.loop import Progress, Trainer
from models.training.memory import MicroBatches
from models.training.metrics_log import (
    MetricsLog,
    TensorBoardWriter,
    WandbWriter,
    truncate_metrics,
)
from models.training.optimizer import build_optimizer
from models.training.progress import SilentDisplay, make_display
from models.training.random_state import seed_everything
from models.training.step import NonFiniteLossError, Stepper

if TYPE_CHECKING:
    from models.train import PreparedRun


SCORE_KEYS = (
    "competition_map50",
    "map",
    "map50",
    "map75",
    "map_small",
    "map_medium",
    "map_large",
    "per_class",
)


def train_detector(run: PreparedRun, console: Console) -> Mapping[str, Any]:
    """Train the detector of a prepared run to its end.

    Returns:
        The content of `finished.json`.

    Raises:
        UserError: corrupt image, out of memory with one image, non-finite loss.
        Interruption: stopped by a signal; the checkpoint is saved.
    """
    world = world_from_environment()
    device = torch_device(run.device, world)
    with ExitStack() as stack:
        stack.enter_context(process_group(world, device))
        interrupt = stack.enter_context(InterruptRequest())
        display = make_display(console) if world.is_main else SilentDisplay()
        stack.callback(display.close)
        trainer = _build_trainer(run, world, device, display, interrupt)
        _resume(run, trainer)
        if world.is_main:
            trainer.log = stack.enter_context(_open_log(run, trainer))
        barrier(world)
        try:
            progress = trainer.train()
        except NonFiniteLossError as error:
            raise _non_finite_report(run, trainer, error) from None
        return _finish(run, trainer, progress) if world.is_main else {}


def torch_device(device: str, world: World) -> torch.device:
    """Return this process's device."""
    if device != "cuda":
        return torch.device("cpu")
    torch.cuda.set_device(world.local_rank)
    return torch.device("cuda", world.local_rank)


def build_model(config: Mapping[str, Any], device: torch.device) -> nn.Module:
    """Return the detector with its initial weights, on its device, in the wanted layout."""
    seed_everything(config["seed"])
    model = build_detector(config)
    if config["init"] != "none":
        from models.pretrained import load_initial_weights

        load_initial_weights(model, config)
    model = model.to(device)
    options = config["performance"]
    if options["channels_last"]:
        model = model.to(memory_format=torch.channels_last)
    if options["compile"]:
        # In place: the names of the weights stay as they are.
        model.backbone.compile()
        if model.with_neck:
            model.neck.compile()
    return model


def _build_trainer(
    run: PreparedRun, world: World, device: torch.device, display: Any, interrupt: InterruptRequest
) -> Trainer:
    from models.data.dataset import TrainDataset
    from models.data.sampler import EpochSampler

    config = run.config
    share = world.share_of_batch(config["batch_size"])
    model = build_model(config, device)
    optimizer = build_optimizer(
        model, config["optimizer"], fused=config["performance"]["fused_optimizer"]
    )
    stepper = Stepper(
        model,
        optimizer,
        precision=config["precision"],
        clip_grad_norm=config["clip_grad_norm"],
        device=device,
        world=world,
    )
    ema = config["ema"]
    val_dataset = eval_dataset(config, run.data.val, run.data.image_root)
    train_dataset = TrainDataset(
        run.data.train,
        run.data.image_root,
        config["augment"],
        config["image_size_wh"],
        config["seed"],
        config["epochs"],
    )
    sampler = EpochSampler(
        len(train_dataset),
        config["batch_size"],
        config["seed"],
        rank=world.rank,
        world_size=world.size,
        repeat=config["repeat"],
    )
    # Every process starts from the same weights and then draws its own random numbers.
    seed_everything(config["seed"] + world.rank)
    return Trainer(
        config=config,
        paths=run.paths,
        model=model,
        stepper=stepper,
        average=None if ema is None else WeightAverage(model, ema["momentum"], ema["gamma"]),
        dataset=train_dataset,
        sampler=sampler,
        evaluate=_evaluation(run, model, val_dataset, world, device),
        micro_batches=MicroBatches(share, config["performance"]["micro_batch"], display.message),
        world=world,
        log=None,
        display=display,
        interrupt=interrupt,
    )


def _evaluation(
    run: PreparedRun, model: nn.Module, dataset: Any, world: World, device: torch.device
) -> Callable[[], Mapping[str, Any]]:
    from submit.scoring import score

    config = run.config

    def evaluate() -> Mapping[str, Any]:
        detections = detect(
            model,
            dataset,
            device=device,
            precision=config["precision"],
            batch_size=max(1, config["batch_size"] // world.size),
            workers=config["workers"],
            world=world,
        )
        predictions = to_predictions(detections, config["category_ids"], run.data.val)
        scores = score(predictions, run.data.val)
        return {key: scores[key] for key in SCORE_KEYS}

    return evaluate


def _resume(run: PreparedRun, trainer: Trainer) -> None:
    if not run.resume:
        return
    state, messages = load_last(run.paths)
    for message in messages:
        trainer.display.message(message)
    if state is None:
        trainer.display.message("nothing to resume: starting afresh")
        if trainer.world.is_main:
            run.paths.metrics_jsonl.unlink(missing_ok=True)
        return
    trainer.load(state)
    progress = trainer.progress
    trainer.display.message(f"resuming in epoch {progress.epoch + 1} after step {progress.step}")
    if trainer.world.is_main:
        truncate_metrics(run.paths.metrics_jsonl, trainer.global_step, progress.epoch)


def _open_log(run: PreparedRun, trainer: Trainer) -> MetricsLog:
    writers: list[Any] = [TensorBoardWriter(run.paths.tensorboard, trainer.global_step)]
    if run.request.wandb:
        writers.append(WandbWriter(run.paths, run.config, run.name))
    return MetricsLog(run.paths.metrics_jsonl, writers)


def _non_finite_report(run: PreparedRun, trainer: Trainer, error: NonFiniteLossError) -> UserError:
    path = run.paths.root / f"nonfinite_step{trainer.global_step}_rank{trainer.world.rank}.json"
    report = {
        "epoch": trainer.progress.epoch,
        "step": trainer.global_step,
        "losses": {name: str(value) for name, value in error.losses.items()},
        "gradient_norm": str(error.gradient_norm),
        "images": [list(sample.source_images) for sample in error.samples],
    }
    write_json(path, report)
    return UserError(
        f"the loss or its gradient is not finite in epoch {trainer.progress.epoch + 1}, "
        f"step {trainer.progress.step}",
        where=f"{path} names the images of that batch",
        next_step="look at those images and boxes; or train anew with a lower rate "
        f"(--set optimizer.lr={run.config['optimizer']['lr'] / 4:g}) or --set precision=fp32",
    )


def _finish(run: PreparedRun, trainer: Trainer, progress: Progress) -> Mapping[str, Any]:
    from models.training.checkpoint import load_checkpoint

    best = load_checkpoint(run.paths.best_checkpoint)
    finished = {"epoch": best["epoch"], "val": best["val"]}
    update_run(
        run.paths,
        state="finished",
        finished=now_text(),
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        minutes_per_epoch=progress.seconds / 60 / run.config["epochs"],
        peak_memory_mb=peak_memory_mb(trainer.stepper.device),
    )
    write_json(run.paths.finished_json, finished)
    return finished


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory that training held so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
