"""metrics.jsonl always, TensorBoard always, Weights & Biases when asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_tools.ground.errors import UserError
from data_tools.ground.files import open_in_place, write_text
from data_tools.ground.paths import RunPaths
from models.engine.runs.metrics import metric_lines

if TYPE_CHECKING:
    from models.engine.runs.request import PreparedRun


class Writer(Protocol):
    """Anything that takes named numbers at a step."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record the numbers."""

    def close(self) -> None:
        """Flush everything."""


class MetricsLog:
    """Writes one line per record to `metrics.jsonl` and its numbers to the other writers.

    Args:
        path: the JSONL file; appended to.
        writers: further receivers of the same numbers.
    """

    def __init__(self, path: Path, writers: list[Writer]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open_in_place(path, "a")
        self._writers = writers

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record of kind `step` or `epoch`."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        numbers = dict(_flat_numbers(record))
        for writer in self._writers:
            writer.scalars(numbers, int(record["step"]))

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and all writers."""
        self._file.close()
        for writer in self._writers:
            writer.close()


def open_log(run: PreparedRun, last_step: int) -> MetricsLog:
    """Return the log of a run that goes on after `last_step` (0: begins), with all its writers."""
    writers: list[Writer] = [TensorBoardWriter(run.paths.tensorboard, last_step)]
    if run.request.wandb:
        writers.append(WandbWriter(run.paths, run.config, run.name))
    return MetricsLog(run.paths.metrics_jsonl, writers)


def _flat_numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat_numbers(value, f"{name}/")
        elif isinstance(value, (int, float)) and key != "step":
            yield name, float(value)


def truncate_metrics(path: Path, step: int, epoch: int) -> None:
    """Drop what was logged after the checkpoint that is resumed, so that no step is there twice.

    Args:
        path: the JSONL file; may be missing.
        step: global steps done at the checkpoint; later `step` records go.
        epoch: epoch being trained at the checkpoint; `epoch` records from it on go.

    Damaged lines, such as one that a kill cut off, go too.
    """
    if not path.is_file():
        return

    def is_early(record: Mapping[str, Any]) -> bool:
        if record["kind"] == "epoch":
            return bool(record["epoch"] < epoch)
        return bool(record.get("step", step + 1) <= step)

    lines, _ = metric_lines(path)
    write_text(path, "".join(line.text + "\n" for line in lines if is_early(line.record)))


class TensorBoardWriter:
    """Event files in the run folder, one series per number.

    Args:
        folder: where the event files go.
        last_step: step that the run continues after; 0 for a fresh one.
    """

    def __init__(self, folder: Path, last_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=last_step + 1 if last_step else None)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record the numbers."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandbWriter:
    """A Weights & Biases run; `WANDB_MODE=offline` keeps it on this machine."""

    def __init__(self, paths: RunPaths, config: Mapping[str, Any], name: str) -> None:
        try:
            import wandb  # type: ignore[import-not-found]  # optional
        except ImportError:
            raise UserError(
                "--wandb needs the package wandb, which is not installed",
                next_step="python -m pip install wandb",
            ) from None
        mode = os.environ.get("WANDB_MODE") or (
            "online" if os.environ.get("WANDB_API_KEY") else "offline"
        )
        # The same id on resuming continues the same curves.
        run_id = name.replace("/", "-")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "boxcamp"),
            name=name,
            id=run_id,
            resume="allow",
            config=dict(config),
            dir=str(paths.root),
            mode=mode,
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record the numbers."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()
