"""One training session of a detector: begin or resume, train, sum up."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from data_tools.ground.errors import UserError
from data_tools.ground.files import write_json
from data_tools.ground.paths import RunPaths
from models.engine.config.unfit import refusing_unfit
from models.engine.detector import BuildDetector, Detector
from models.engine.ops.freed_memory import freed_memory_kept
from models.engine.runs.record import finish_run
from models.engine.runs.restart import SmallerPassesNeeded, note_micro_batch, noted_micro_batch
from models.engine.training.assembly import build_detector, build_trainer, load_first_weights
from models.engine.training.device import torch_device
from models.engine.training.distributed import (
    World,
    barrier,
    gather_objects,
    is_lost_connection,
    process_group,
    world_from_environment,
)
from models.engine.training.loop import Trainer
from models.engine.training.memory import is_out_of_memory
from models.engine.training.resuming.checkpoint import (
    BEST_KEYS,
    LAST_KEYS,
    load_checkpoint,
    load_last,
)
from models.engine.training.resuming.interrupt import InterruptRequest
from models.engine.training.step import NonFiniteLossError
from models.engine.training.watching.display import Display, SilentDisplay, make_display
from models.engine.training.watching.metrics_log import open_log, truncate_metrics

if TYPE_CHECKING:
    from models.engine.runs.request import PreparedRun


def train_detector(run: PreparedRun, console: Console, build: BuildDetector) -> Mapping[str, Any]:
    """Train the detector of a prepared run to its end.

    Args:
        run: what to train.
        console: where it is shown.
        build: builds the detector from the run's config.

    Returns:
        The content of `finished.json`.

    Raises:
        UserError: corrupt image, out of memory with one image, non-finite loss.
        Interruption: stopped by a signal; the checkpoint is saved.
        SmallerPassesNeeded: one of several processes ran out of memory.
    """
    world = world_from_environment()
    device = torch_device(run.device, world)
    with ExitStack() as stack:
        stack.enter_context(freed_memory_kept(device.type == "cpu"))
        stack.enter_context(process_group(world, device))
        interrupt = stack.enter_context(InterruptRequest())
        display = make_display(console) if world.is_main else SilentDisplay()
        stack.callback(display.close)
        is_resumed = gather_objects(run.resume, world)[0]
        state = _saved_state(run.paths, display) if is_resumed else None
        detector = _detector_in_memory(build, run, device, world)
        if state is None:
            load_first_weights(detector, world, display.message)
        trainer = build_trainer(
            run, detector, world=world, device=device, display=display, interrupt=interrupt
        )
        _resume(run, trainer, state)
        if world.is_main:
            trainer.log = stack.enter_context(open_log(run, trainer.global_step))
        try:
            trainer.train()
        except NonFiniteLossError as error:
            raise _non_finite_report(run, trainer, error) from None
        except SmallerPassesNeeded as error:
            note_micro_batch(run.paths, error.micro_batch)
            raise
        except RuntimeError as error:
            if world.size == 1 or not is_lost_connection(error):
                raise
            raise _failure_of_another(run, trainer) from None
        return _finish(run, trainer) if world.is_main else {}


def _detector_in_memory(
    build: BuildDetector, run: PreparedRun, device: torch.device, world: World
) -> Detector:
    try:
        return build_detector(build, run.config, device, world)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"there is no memory for the model on {device} ({str(error).splitlines()[0]})",
            next_step="see whether another program holds it (nvidia-smi), then add --resume",
        ) from None


def _failure_of_another(run: PreparedRun, trainer: Trainer) -> Exception:
    noted = noted_micro_batch(run.paths)
    if noted is not None and noted < trainer.micro_batches.size:
        return SmallerPassesNeeded("", noted)
    return UserError(
        f"process {trainer.world.rank} lost the connection to another one of this training",
        next_step="the other one says why; then add --resume to continue",
    )


def _saved_state(paths: RunPaths, display: Display) -> dict[str, Any] | None:
    state, messages = load_last(paths, keys=LAST_KEYS)
    for message in messages:
        display.message(message)
    if state is None:
        display.message("nothing to resume: starting afresh")
    return state


def _resume(run: PreparedRun, trainer: Trainer, state: Mapping[str, Any] | None) -> None:
    if state is not None:
        with refusing_unfit(
            "the checkpoint does not fit the run",
            where=run.paths.last_checkpoint,
            expected="the checkpoint that this run wrote",
            next_step="put it back, or remove the folder and train again",
        ):
            trainer.load(state)
        position = trainer.position
        trainer.display.message(
            f"resuming in epoch {position.epoch + 1} after step {position.step}"
        )
    if trainer.world.is_main:
        truncate_metrics(run.paths.metrics_jsonl, trainer.global_step, trainer.position.epoch)
    # No process may write the next checkpoint while another still reads this one.
    barrier(trainer.world)


def _non_finite_report(run: PreparedRun, trainer: Trainer, error: NonFiniteLossError) -> UserError:
    path = run.paths.nonfinite_json(trainer.global_step, trainer.world.rank)
    report = {
        "epoch": trainer.position.epoch,
        "step": trainer.global_step,
        "losses": {name: str(value) for name, value in error.losses.items()},
        "gradient_norm": str(error.gradient_norm),
        "images": [list(sample.source_images) for sample in error.samples],
    }
    write_json(path, report)
    return UserError(
        f"the loss or its gradient is not finite in epoch {trainer.position.epoch + 1}, "
        f"step {trainer.position.step}",
        where=f"{path} names the images of that batch",
        next_step="look at those images and boxes; or train anew with a lower rate "
        f"(--set optimizer.lr={run.config['optimizer']['lr'] / 4:g}) or --set precision=fp32",
    )


def _finish(run: PreparedRun, trainer: Trainer) -> Mapping[str, Any]:
    return finish_run(
        run.paths,
        load_checkpoint(run.paths.best_checkpoint, keys=BEST_KEYS),
        parameters=sum(parameter.numel() for parameter in trainer.detector.parameters()),
        minutes_per_epoch=trainer.position.seconds / 60 / run.config["epochs"],
        peak_memory_mb=peak_memory_mb(trainer.stepper.device),
    )


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory that training held so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
