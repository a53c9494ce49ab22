"""The training loop: epochs of steps, a validation score after each, checkpoints to resume from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from data_tools.ground.paths import RunPaths
from models.engine.data.loader import train_loader
from models.engine.data.shared_memory import LoadingStalledError
from models.engine.detector import Detector
from models.engine.training.distributed import (
    World,
    broadcast_from_main,
    gather_objects,
    maximum_over_processes,
)
from models.engine.training.ema import WeightAverage
from models.engine.training.memory import MicroBatches
from models.engine.training.optimizer import set_learning_rate
from models.engine.training.resuming.checkpoint import load_weights, save_checkpoint, save_last
from models.engine.training.resuming.interrupt import Interruption, InterruptRequest
from models.engine.training.resuming.position import Position
from models.engine.training.resuming.random_state import capture_random_state, restore_random_state
from models.engine.training.schedule import learning_rate_factor
from models.engine.training.step import NonFiniteLossError, Stepper, StepResult
from models.engine.training.watching.display import Display
from models.engine.training.watching.metrics_log import MetricsLog
from models.engine.training.watching.speed import Speed

if TYPE_CHECKING:
    from models.engine.data.dataset import TrainDataset
    from models.engine.data.sample import Sample
    from models.engine.data.sampler import EpochSampler


@dataclass
class Trainer:
    """Trains one detector; every collaborator is given.

    Attributes:
        config: resolved config of the run.
        paths: run folder.
        detector: on its device.
        stepper: does the optimizer steps.
        average: average of the weights, or None.
        dataset, sampler: training samples and their order.
        evaluate: given the epoch (from 0), returns the validation scores of the detector as it is.
        micro_batches: how many images go through the detector at once.
        world: the processes that train together.
        log, display: where numbers go.
        interrupt: the user's request to stop.
    """

    config: Mapping[str, Any]
    paths: RunPaths
    detector: Detector
    stepper: Stepper
    average: WeightAverage | None
    dataset: TrainDataset
    sampler: EpochSampler
    evaluate: Callable[[int], Mapping[str, Any]]
    micro_batches: MicroBatches
    world: World
    log: MetricsLog | None
    display: Display
    interrupt: InterruptRequest
    position: Position = field(default_factory=Position)

    def __post_init__(self) -> None:
        self._loader = train_loader(
            self.dataset,
            self.sampler,
            self.config["workers"],
            pin_memory=self.stepper.device.type == "cuda",
        )
        self._clock = time.monotonic()
        self._last_save = time.monotonic()
        self._saved_at = (-1, -1)
        self._speed = Speed()

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return self.sampler.batches_per_epoch

    @property
    def global_step(self) -> int:
        """Optimizer steps done over all epochs."""
        return self.position.epoch * self.steps_per_epoch + self.position.step

    def train(self) -> Position:
        """Train until the last epoch.

        Raises:
            Interruption: the user asked to stop; the checkpoint is saved.
            NonFiniteLossError: with the samples of the batch as `samples`.
        """
        while self.position.epoch < self.config["epochs"]:
            self._train_epoch()
            self._finish_epoch()
        return self.position

    def _train_epoch(self) -> None:
        position = self.position
        self.detector.set_epoch(position.epoch)
        self.detector.train()
        self.sampler.set_epoch(position.epoch, position.step)
        self.display.begin_epoch(
            position.epoch, self.config["epochs"], self.steps_per_epoch, position.step
        )
        self._speed.restart()
        if position.step == self.steps_per_epoch:
            return  # killed between this epoch's last checkpoint and the end of its validation
        try:
            for samples in self._loader:
                self._train_step(samples)
        except (LoadingStalledError, RuntimeError) as error:
            is_stall = isinstance(error, LoadingStalledError)
            # A signal to the whole process group also ends the loader's workers.
            if self.interrupt.signal_number and (is_stall or "DataLoader worker" in str(error)):
                self._stop(self.interrupt.signal_number)
            # Saving gathers from all processes, and the others wait inside a step.
            if is_stall and self.world.size == 1:
                self.save()
            raise

    def _train_step(self, samples: list[Sample]) -> None:
        rate = self._learning_rate()
        set_learning_rate(self.stepper.optimizer, rate)
        try:
            result = self.micro_batches.run(
                lambda parts: self.stepper.step(samples, parts), self.stepper.drop_gradients
            )
        except NonFiniteLossError as error:
            error.samples = samples
            raise
        if self.average is not None:
            self.average.update(self.detector)
        self.position.step += 1
        self.position.loss_sum += result.loss
        self._count_time()
        self._speed.add(self.sampler.batch_size)
        self._show_step(result, rate)
        self._save_or_stop()

    def _learning_rate(self) -> float:
        factor = learning_rate_factor(
            self.config["schedule"], self.global_step, self.steps_per_epoch, self.config["epochs"]
        )
        return float(self.config["optimizer"]["lr"]) * factor

    def _show_step(self, result: StepResult, rate: float) -> None:
        position = self.position
        left = self.config["epochs"] * self.steps_per_epoch - self.global_step
        speed = self._speed.images_per_second
        eta = left * self.sampler.batch_size / speed
        self.display.step(position.step, result.loss, speed, eta)
        is_last = position.step == self.steps_per_epoch
        if self.log and (is_last or self.global_step % self.config["log"]["every_steps"] == 0):
            self.log.write(
                {
                    "kind": "step",
                    "epoch": position.epoch,
                    "step": self.global_step,
                    "loss": result.loss,
                    "losses": result.losses,
                    "gradient_norm": _finite_or_none(result.gradient_norm),
                    "lr": rate,
                    "images_per_second": speed,
                    "seconds": position.seconds,
                }
            )

    def _save_or_stop(self) -> None:
        options, step = self.config["checkpoint"], self.position.step
        due_by_time = time.monotonic() - self._last_save > 60 * options["every_minutes"]
        due_by_step = options["every_steps"] and self.global_step % options["every_steps"] == 0
        # All processes must take the same branch: saving gathers from every one.
        due, signal_number = maximum_over_processes(
            [int(due_by_time or due_by_step), self.interrupt.signal_number], self.world
        )
        if signal_number:
            self._stop(signal_number)
        if due or step == self.steps_per_epoch:
            self.save()

    def _stop(self, signal_number: int) -> None:
        self.save()
        raise Interruption(signal_number)

    def _finish_epoch(self) -> None:
        position = self.position
        with self._averaged_weights():
            # Only the main process's weights are saved: the score must be theirs.
            broadcast_from_main(self.detector, self.world)
            scores = dict(self.evaluate(position.epoch))
            self._count_time()
            is_best = self._note_best(scores)
            if is_best and self.world.is_main:
                save_checkpoint(self.paths.best_checkpoint, self._weights(scores))
        record = {
            "kind": "epoch",
            "epoch": position.epoch,
            "step": self.global_step,
            "train_loss": position.loss_sum / max(position.step, 1),
            "val": scores,
            "seconds": position.seconds,
        }
        if self.log:
            self.log.write(record)
        self.display.end_epoch(record, is_best)
        position.epoch += 1
        position.step = 0
        position.loss_sum = 0.0

    def _note_best(self, scores: Mapping[str, Any]) -> bool:
        score = scores.get("competition_map50")
        score = -0.5 if score is None else float(score)
        if score < self.position.best_score:
            return False
        self.position.best_score, self.position.best_epoch = score, self.position.epoch
        return True

    def _averaged_weights(self) -> AbstractContextManager[None]:
        return nullcontext() if self.average is None else self.average.applied_to(self.detector)

    def _weights(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "model": self.detector.state_dict(),
            "config": dict(self.config),
            "epoch": self.position.epoch,
            "val": dict(scores),
        }

    def save(self) -> None:
        """Write everything that resuming needs; nothing if that was just done."""
        self._last_save = time.monotonic()
        here = (self.position.epoch, self.position.step)
        if here == self._saved_at:
            return
        self._saved_at = here
        random_states = gather_objects(capture_random_state(), self.world)
        if not self.world.is_main:
            return
        save_last(
            self.paths,
            {
                "progress": asdict(self.position),
                "model": self.detector.state_dict(),
                "optimizer": self.stepper.optimizer.state_dict(),
                "scaler": self.stepper.scaler.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "random": random_states,
                "micro_batch": self.micro_batches.size,
                "config": dict(self.config),
            },
        )

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `save` wrote."""
        self.position = Position(**state["progress"])
        load_weights(self.detector, state["model"])
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if len(state["random"]) == self.world.size:
            restore_random_state(state["random"][self.world.rank])
        else:
            self.display.message(
                f"resuming with {self.world.size} processes what {len(state['random'])} began: "
                "the samples are the same, random numbers inside the model are not"
            )
        self.micro_batches.size = min(self.micro_batches.size, state["micro_batch"])
        self._saved_at = (self.position.epoch, self.position.step)

    def _count_time(self) -> None:
        now = time.monotonic()
        self.position.seconds += now - self._clock
        self._clock = now


def _finite_or_none(value: float) -> float | None:
    # JSON has no word for infinity, which is normal with loss scaling.
    return value if abs(value) < float("inf") else None
