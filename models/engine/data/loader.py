"""DataLoaders whose workers report a user's mistake in full."""

from __future__ import annotations

import errno
import gc
import multiprocessing.queues
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import cv2
import torch
from torch._C import _error_if_any_worker_fails
from torch.utils.data import DataLoader, Dataset

from data_tools.ground.errors import UserError
from models.engine.data.dataset import TrainDataset
from models.engine.data.eval_dataset import EvalSample
from models.engine.data.sampler import EpochSampler
from models.engine.data.shared_memory import LoadingStalledError, patience_seconds, stalled
from models.engine.ops.freed_memory import return_freed_memory
from models.engine.ops.parent_death import end_with_parent


class _ErrorsAsValues(Dataset[Any]):
    """Hands a `UserError` over as a value.

    `DataLoader` would rebuild it from its traceback's text and lose where it was and what to do.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: Sequence[Any]) -> list[Any] | UserError:
        try:
            return [self.dataset[key] for key in keys]
        except UserError as error:
            return error

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]


class BatchLoader:
    """Iterates over batches, each a list of samples; raises the `UserError` of a worker here.

    Workers that hand nothing over for `patience_seconds()` end with a `LoadingStalledError`.

    Args:
        dataset: of training or of prediction samples.
        workers: number of processes; 0 loads in this one.
        **options: of `torch.utils.data.DataLoader`.
    """

    def __init__(self, dataset: Dataset[Any], *, workers: int, **options: Any) -> None:
        self.loader = DataLoader(
            _ErrorsAsValues(dataset),
            num_workers=workers,
            collate_fn=_unchanged,
            worker_init_fn=partial(_start_worker, parent=os.getpid()),
            # Its own: starting an epoch must not draw from the generator that the model uses.
            generator=torch.Generator(),
            timeout=patience_seconds() if workers else 0,
            **options,
        )

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[Any]]:
        with self._waiting():
            batches = iter(self.loader)
        complete = False
        try:
            while not complete:
                with self._waiting():
                    self._refuse_dead_workers(batches)
                    batch = next(batches, None)
                if isinstance(batch, UserError):
                    raise batch
                complete = batch is None
                if batch is not None:
                    yield batch
        except LoadingStalledError:
            _abandon(batches)
            raise
        finally:
            if not complete:
                self.close(batches)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Turn what keeps workers from handing a batch over into a `LoadingStalledError`."""
        if not self.loader.num_workers:
            yield
            return
        try:
            with _hearing_of_dead_workers():
                yield
        except (RuntimeError, OSError, EOFError) as error:
            if reason := _reason_of_stall(error):
                raise stalled(reason) from None
            raise

    def _refuse_dead_workers(self, batches: Any) -> None:
        if not self.loader.num_workers:
            return
        _error_if_any_worker_fails()
        # That does not see those whose end was asked for, as is done when others are started.
        if any(worker.exitcode for worker in batches._workers):
            raise RuntimeError("a DataLoader worker exited unexpectedly")

    def close(self, batches: Iterator[Any] | None = None) -> None:
        """End the worker processes now; the next iteration starts new ones.

        Left to the garbage collector after an exception, each worker is waited for five seconds:
        the queue that would tell it to end is collected first.
        """
        batches = batches or self.loader._iterator
        self.loader._iterator = None
        # DataLoader has no public way to do this.
        shut_down = getattr(batches, "_shutdown_workers", None)
        if shut_down:
            shut_down()


@contextmanager
def _hearing_of_dead_workers() -> Iterator[None]:
    """Let the death of a worker raise within the block, and nowhere else.

    torch would raise wherever the main process is when a worker dies: in the middle of a
    checkpoint, or of a step, which leaves weights that are neither the old nor the new ones.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGCHLD, lambda number, frame: _error_if_any_worker_fails())
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _reason_of_stall(error: Exception) -> str | None:
    """Return what kept a worker from handing over its batch; None for another failure."""
    text = str(error)
    if "DataLoader timed out" in text:
        return "the loading processes hand nothing over any more"
    if "Bus error" in text:
        return "a loading process died of a bus error: shared memory was full"
    if "is killed by signal: Killed" in text:
        return "a loading process was killed, as the system does where memory runs out"
    if "exited unexpectedly" in text or isinstance(error, ConnectionError | EOFError):
        return "a loading process ended while it handed over a batch"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "loading processes cannot be started: shared memory is full"
    return None


def _abandon(batches: Any) -> None:
    """End workers without a word: one that died may hold a lock that the usual way waits for."""
    batches._shutdown = True
    for worker in batches._workers:
        worker.kill()
    for worker in batches._workers:
        worker.join()


def train_loader(
    dataset: TrainDataset, sampler: EpochSampler, workers: int, *, pin_memory: bool = False
) -> BatchLoader:
    """Return a loader of training batches whose workers live through all epochs.

    Call `sampler.set_epoch` before each iteration.
    """
    return BatchLoader(
        dataset,
        workers=workers,
        batch_sampler=sampler,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
    )


def eval_loader(
    dataset: Dataset[EvalSample], batch_size: int, workers: int, *, pin_memory: bool = False
) -> BatchLoader:
    """Return a loader of prediction batches in file order."""
    return BatchLoader(dataset, workers=workers, batch_size=batch_size, pin_memory=pin_memory)


def _unchanged(batch: Any) -> Any:
    return batch


def _say_lost(error: Exception, batch: object) -> None:
    sys.stderr.write(f"a loading process could not hand over a batch: {error}\n")


def _start_worker(worker: int, parent: int) -> None:
    # Killed, the main process would leave workers behind that hold the lock of its run.
    end_with_parent(parent)
    # Python would print a traceback here; the main process notices that the batch never comes.
    vars(multiprocessing.queues)["Queue"]._on_queue_feeder_error = staticmethod(_say_lost)
    # Workers share the terminal: Ctrl-C is answered by the main process, between two steps.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One thread per worker: OpenCV's own pool would compete with the other workers.
    cv2.setNumThreads(0)
    # The main process may keep what it frees, for its steps; here that would only grow.
    return_freed_memory()
    # Collecting garbage writes to every object it looks at, which would copy the main process's
    # memory page by page; what was inherited is left out of it.
    gc.freeze()
