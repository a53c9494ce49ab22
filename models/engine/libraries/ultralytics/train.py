"""`models train yolo11`: writes the dataset, runs ultralytics in its process, keeps the record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rich.console import Console

from data_tools.ground.errors import UserError
from data_tools.ground.files import write_text
from models.engine.config.resolve import recipe_config
from models.engine.libraries.ultralytics.arguments import check_supported, data_yaml
from models.engine.libraries.ultralytics.dataset_files import WrittenSplit, check_sizes, write_split
from models.engine.libraries.ultralytics.epoch_records import noted_epochs
from models.engine.libraries.ultralytics.library_paths import library_paths
from models.engine.libraries.ultralytics.worker import ProcessFailedError, run_job
from models.engine.runs.metrics import metric_lines
from models.engine.runs.record import finish_run
from models.engine.training.resuming.interrupt import InterruptRequest
from models.engine.training.watching.display import Display, make_display
from models.engine.training.watching.metrics_log import MetricsLog, open_log, truncate_metrics
from models.registry import get_model

if TYPE_CHECKING:
    from models.engine.runs.request import PreparedRun


def train_yolo11(run: PreparedRun, console: Console) -> Mapping[str, Any]:
    """Train YOLO11 of a prepared run to its end.

    Returns:
        The content of `finished.json`: the best epoch and its validation score.

    Raises:
        UserError: settings that ultralytics does not have, unreadable images, a failed process.
        Interruption: stopped by a signal; resuming continues after the last whole epoch.
    """
    config = run.config
    check_supported(config, recipe_config(get_model(config["model"]), config["scale"]))
    _refuse_several_processes()
    with ExitStack() as stack:
        interrupt = stack.enter_context(InterruptRequest())
        display = make_display(console)
        stack.callback(display.close)
        _write_dataset(run, display)
        recorder = Recorder(run, display, stack)
        try:
            run_job(_job(run), library_paths(run.paths), recorder.receive, interrupt)
        except ProcessFailedError:
            raise
        except UserError:
            if not recorder.has_begun:
                shutil.rmtree(library_paths(run.paths).root)  # a mistake leaves nothing behind
            raise
    return recorder.finish()


def _refuse_several_processes() -> None:
    from models.engine.training.distributed import world_from_environment

    if world_from_environment().size > 1:
        raise UserError(
            "yolo11 trains on one GPU here",
            expected="one process",
            next_step="start it without torchrun (GPUS=1), or choose another model",
        )


def _write_dataset(run: PreparedRun, display: Display) -> None:
    for coco in (run.data.train, run.data.val):
        check_sizes(coco, run.data.image_root)
    files = library_paths(run.paths).dataset
    written = {
        "train": write_split(run.data.train, run.data.image_root, files, "train"),
        "val": write_split(run.data.val, run.data.image_root, files, "val"),
    }
    write_text(files.data_yaml, data_yaml(files, run.config["classes"]))
    for split, counts in written.items():
        for message in _messages(split, counts):
            display.message(message)


def _messages(split: str, counts: WrittenSplit) -> list[str]:
    reasons = {
        "crowd boxes left out": counts.crowd,
        "boxes clipped to their image": counts.clipped,
        "boxes outside their image left out": counts.outside,
        "boxes with a weight below 1 in the loss": counts.weighted,
    }
    return [f"{split}: {count} {reason}" for reason, count in reasons.items() if count]


def _job(run: PreparedRun) -> dict[str, Any]:
    return {
        "task": "train",
        "config": run.config,
        "run": str(run.paths.root.resolve()),
        "val_json": str(run.data.val_path.resolve()),
        "val_image_ids": run.data.val.image_ids.tolist(),  # without those skipped as broken
        "image_root": str(run.data.image_root.resolve()),
        "device": run.device,
        "resume": run.resume,
    }


class Recorder:
    """Turns the process's events into the run's metrics, and shows them.

    Args:
        run: the prepared run.
        display: where progress is shown.
        stack: closes the log.
    """

    def __init__(self, run: PreparedRun, display: Display, stack: ExitStack) -> None:
        self._run, self._display, self._stack = run, display, stack
        self._log: MetricsLog | None = None
        self._steps_per_epoch = 0
        self._parameters = 0
        self._seconds = 0.0
        self._since = time.monotonic()

    @property
    def has_begun(self) -> bool:
        """Whether training has begun, now or before a resumption."""
        return self._log is not None or self._run.resume

    def receive(self, event: dict[str, Any]) -> None:
        """Take one event of `process.py`."""
        kind = event.pop("event")
        getattr(self, f"_on_{kind}")(event)

    def finish(self) -> Mapping[str, Any]:
        """Mark the run as finished and return the content of `finished.json`."""
        from models.engine.training.resuming.checkpoint import BEST_KEYS, load_checkpoint

        return finish_run(
            self._run.paths,
            load_checkpoint(self._run.paths.best_checkpoint, keys=BEST_KEYS),
            parameters=self._parameters,
            minutes_per_epoch=self._seconds / 60 / self._run.config["epochs"],
        )

    @property
    def _open_log(self) -> MetricsLog:
        assert self._log is not None  # `start` is reported before any step
        return self._log

    def _on_message(self, event: dict[str, Any]) -> None:
        self._display.message(event["text"])

    def _on_start(self, event: dict[str, Any]) -> None:
        """Training begins in this epoch; what was logged beyond it is dropped."""
        epoch, self._steps_per_epoch = event["epoch"], event["steps_per_epoch"]
        self._parameters = event["parameters"]
        step = epoch * self._steps_per_epoch
        truncate_metrics(self._run.paths.metrics_jsonl, step, epoch)
        self._seconds = _last_seconds(self._run)
        self._since = time.monotonic()
        self._log = self._stack.enter_context(open_log(self._run, step))
        self._add_missing_epochs(epoch)

    def _add_missing_epochs(self, before: int) -> None:
        """Log the epochs that the process finished and this one was killed before it heard of."""
        logged = _logged_epochs(self._run)
        noted = noted_epochs(library_paths(self._run.paths), before)
        missing = [record for epoch, record in noted.items() if epoch not in logged]
        for record in missing:
            self._seconds += record["seconds"]
            self._open_log.write(self._epoch_record(record, self._seconds))
        if missing:
            named = ", ".join(str(record["epoch"] + 1) for record in missing)
            self._display.message(f"metrics.jsonl: lines of epoch {named} added after a kill")

    def _on_step(self, event: dict[str, Any]) -> None:
        epochs, done = self._run.config["epochs"], event["step_in_epoch"]
        if done == 1:
            self._display.begin_epoch(event["epoch"], epochs, self._steps_per_epoch, 0)
        now = self._count_time()
        step = event["epoch"] * self._steps_per_epoch + done
        rate = event.pop("images") / max(event.pop("seconds"), 1e-9)
        left = epochs * self._steps_per_epoch - step
        self._display.step(
            done, event["loss"], rate, left * self._run.config["batch_size"] / max(rate, 1e-9)
        )
        if step % self._run.config["log"]["every_steps"] == 0:
            record = {key: event[key] for key in ("epoch", "loss", "losses", "lr")}
            self._open_log.write(
                {"kind": "step", **record, "step": step, "images_per_second": rate, "seconds": now}
            )

    def _on_epoch(self, event: dict[str, Any]) -> None:
        record = self._epoch_record(event, self._count_time())
        self._open_log.write(record)
        self._display.end_epoch(record, event["is_best"])

    def _epoch_record(self, event: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        return {
            "kind": "epoch",
            "epoch": event["epoch"],
            "step": (event["epoch"] + 1) * self._steps_per_epoch,
            "train_loss": event["train_loss"],
            "val": event["val"],
            "seconds": seconds,
        }

    def _count_time(self) -> float:
        now = time.monotonic()
        self._seconds += now - self._since
        self._since = now
        return self._seconds


def _logged_epochs(run: PreparedRun) -> set[int]:
    lines, _ = metric_lines(run.paths.metrics_jsonl)
    return {line.record["epoch"] for line in lines if line.is_epoch}


def _last_seconds(run: PreparedRun) -> float:
    lines, _ = metric_lines(run.paths.metrics_jsonl)
    return float(lines[-1].record["seconds"]) if lines else 0.0
