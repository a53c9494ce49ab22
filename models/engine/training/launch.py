"""Several processes on this machine for one training, started by torch's own launcher."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from data_tools.ground.errors import UserError
from models.engine.runs.request import PreparedRun
from models.engine.runs.restart import OUT_OF_MEMORY_STATUS
from models.registry import get_model


def launch(processes: int, arguments: Sequence[str], console: Console) -> int:
    """Train in several processes; begin again where memory runs out.

    Args:
        processes: one per GPU.
        arguments: those of `python -m models`, which every process gets.
        console: where the launcher talks.

    Returns:
        Exit status: that of the first process that failed, 130 or 143 after a signal, or 0.
    """
    arguments = list(arguments)
    while True:
        status = _run_processes(processes, arguments)
        if status != OUT_OF_MEMORY_STATUS:
            return status
        console.print("all processes begin again from the last checkpoint", highlight=False)
        if "--resume" not in arguments:
            arguments.append("--resume")


def check_processes(run: PreparedRun, processes: int) -> None:
    """Check that a run can be trained by so many processes.

    Raises:
        UserError: the model or the machine cannot, or the batch cannot be shared evenly.
    """
    if get_model(run.request.model).library == "ultralytics":
        raise UserError(
            f"{run.request.model} trains on one GPU here",
            expected="one process",
            next_step="leave out --gpus (make: GPUS=1), or choose another model",
        )
    from models.engine.training.distributed import World

    World(size=processes).share_of_batch(run.config["batch_size"])
    if run.device == "cuda":
        import torch

        if processes > torch.cuda.device_count():
            raise UserError(
                f"torch sees {torch.cuda.device_count()} GPUs, not {processes}",
                next_step=f"--gpus {torch.cuda.device_count()} (make: GPUS=...)",
            )


def is_launched() -> bool:
    """Tell whether a launcher started this process already, ours or torchrun."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _run_processes(processes: int, arguments: Sequence[str]) -> int:
    """Run `python -m models ARGUMENTS` so many times side by side; return the exit status."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Cores are shared; as torchrun does.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
    )
    logging.disable(logging.CRITICAL)  # the processes say themselves what happened to them
    try:
        elastic_launch(config, sys.executable)("-m", "models", *arguments)
    except ChildFailedError as error:
        return launched_exit_status(error.failures)
    except SignalException as stop:
        return 128 + stop.sigval
    finally:
        logging.disable(logging.NOTSET)
    return 0


def launched_exit_status(failures: Mapping[int, Any]) -> int:
    """Return the one status that says most; processes that were only told to end say nothing."""
    statuses = [failure.exitcode for failure in failures.values()]
    if OUT_OF_MEMORY_STATUS in statuses:
        return OUT_OF_MEMORY_STATUS
    own = [status for status in statuses if status > 0]
    if own:
        return min(own, key=lambda status: status == 1)
    first = min(failures.items(), key=lambda item: item[1].timestamp)
    raise UserError(
        f"process {first[0]} was ended by signal {-first[1].exitcode}",
        expected="nothing outside ends it; signal 9 often means that main memory ran out",
        next_step="add --resume to continue; fewer --workers need less main memory",
    )
