"""`models train`: checks everything, prepares the run folder, hands over to the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from data_tools.coco.dataset import read_coco
from data_tools.coco.note import note_of
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths, WorkPaths
from data_tools.ground.run_names import RunName, build, checked_name
from models.engine.config.resolve import resolve_config
from models.engine.config.unfit import UNFIT, reason_of
from models.engine.data.picture_check import broken_pictures, refuse_broken, without_pictures
from models.engine.data.shared_memory import batch_bytes, workers_that_fit
from models.engine.data.table import annotation_table
from models.engine.libraries.choice import training_of
from models.engine.runs.files import FinishedFile, read_checked
from models.engine.runs.folder import existing_run, read_run, refuse_other_data, sole_trainer
from models.engine.runs.leaks import leak_reasons
from models.engine.runs.record import close_run_folder, data_record, open_run_folder
from models.engine.runs.request import PreparedRun, TrainRequest
from models.engine.runs.training_data import TrainingData, read_training_data
from models.engine.training.device import choose_device
from models.engine.training.resuming.interrupt import Interruption
from models.registry import get_model


def train(request: TrainRequest, console: Console) -> Mapping[str, Any]:
    """Train one model on one fold.

    Returns:
        The content of `finished.json`: the best epoch and its validation score.

    Raises:
        UserError: anything about the request, the data or the folder that cannot be.
        Interruption: stopped by a signal; a checkpoint is saved.
    """
    run, state = prepare(request)
    if state == "finished":
        console.print(f"{run.paths.root}: finished already, nothing to do", soft_wrap=True)
        return _finished(run.paths)
    is_main = is_main_process()
    if is_main:
        _announce(run, state, console)
    return _train_with(get_model(request.model).library, run, is_main, console)


def train_in_processes(
    request: TrainRequest, processes: int, arguments: Sequence[str], console: Console
) -> int:
    """Train one model on one fold in several processes of this machine.

    Args:
        request: what the command line asks for; mistakes are found before any process starts.
        processes: one per GPU.
        arguments: those of `python -m models`, which every process gets.
        console: where the launcher talks.

    Returns:
        Exit status: that of the first process that failed, 130 or 143 after a signal, or 0.
    """
    from models.engine.training.launch import check_processes, launch

    run, state = prepare(request)
    if state == "finished":
        train(request, console)
        return 0
    check_processes(run, processes)
    return launch(processes, arguments, console)


def prepare(request: TrainRequest) -> tuple[PreparedRun, str]:
    """Check everything and change nothing.

    Returns:
        The run, and how it goes on: `fresh`, `resume` or `finished`.

    Raises:
        UserError: anything about the request, the data or the folder that cannot be.
    """
    get_model(request.model)
    work = WorkPaths(request.work_root)
    data = read_training_data(request.data_root, work, request.fold, request.pseudo)
    device = choose_device(request.device)
    scale = request.scale or ("full" if device == "cuda" else "smoke")
    notes: list[str] = []
    config = _config(request, scale, data)
    config["workers"] = _workers(request, config, notes.append)
    leaked = _checked_leaks(request, data)
    paths = run_paths(request)
    # The main process decides, and opens the folder perhaps before the others look.
    state = existing_run(paths, config, resume=request.resume or not is_main_process())
    if state != "fresh":
        refuse_other_data(paths, data_record(request, data))
    if state == "finished":
        return PreparedRun(request, config, paths, data, device, False, leaked), state
    skipped = _skipped_pictures(request, data, None if state == "fresh" else read_run(paths))
    data = replace(
        data,
        train=without_pictures(data.train, skipped),
        val=without_pictures(data.val, skipped),
    )
    _refuse_training_on_nothing(data)
    return PreparedRun(
        request, config, paths, data, device, state == "resume", leaked, skipped, tuple(notes)
    ), state


def _skipped_pictures(
    request: TrainRequest, data: TrainingData, record: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return why pictures are left out, by name; a run that goes on leaves out the same."""
    if record is not None:
        return dict(record.get("skipped_pictures") or {})
    broken: dict[str, str] = {}
    for coco in (data.train, data.val):
        broken |= broken_pictures(coco, data.image_root)
    if not request.skip_broken:
        refuse_broken(broken, data.image_root)
    return broken


def _refuse_training_on_nothing(data: TrainingData) -> None:
    table = annotation_table(data.train)
    if not len(table.labels):
        reasons = [f"{n} {reason}" for reason, n in table.left_out.items() if n]
        raise UserError(
            f"there is no box left to train on ({', '.join(reasons)})",
            where=data.train_path,
            expected="boxes of a pixel and more inside their images",
            next_step="python -m data_tools verify names what is wrong with them",
        )


def _workers(request: TrainRequest, config: Mapping[str, Any], say: Callable[[str], None]) -> int:
    largest_scale = max(config["augment"]["multi_scale"])
    overridden = any(text.startswith("workers=") for text in request.overrides)
    return workers_that_fit(
        config["workers"],
        batch_bytes(config["image_size_wh"], config["batch_size"], largest_scale),
        is_asked=request.workers is not None or overridden,
        say=say,
    )


def _train_with(
    library: str, run: PreparedRun, is_main: bool, console: Console
) -> Mapping[str, Any]:
    train_library = training_of(library)
    if not is_main:
        return train_library(run, console)
    with sole_trainer(run.paths):
        open_run_folder(run)
        try:
            return train_library(run, console)
        except BaseException as error:
            is_stop = isinstance(error, Interruption | KeyboardInterrupt)
            close_run_folder(run, error, is_stop=is_stop)
            has_begun = run.paths.run_json.is_file()
            if has_begun or not isinstance(error, UNFIT) or not _has_own_architecture(run):
                raise
            raise UserError(
                "the model does not work with the settings under `architecture` "
                f"({reason_of(error)})",
                where="--set architecture...",
                expected="types, widths and options that fit together",
                next_step="config.json of a run without such settings shows what fits",
            ) from error


def _has_own_architecture(run: PreparedRun) -> bool:
    return any(text.startswith("architecture.") for text in run.request.overrides)


def run_paths(request: TrainRequest) -> RunPaths:
    """Return the run's folder: `runs/<experiment>/fold<k>`."""
    round_number = 0
    if request.pseudo is not None:
        round_number = note_of(read_coco(request.pseudo)).round or 1
    name = request.name
    if name is None:
        mosaic = request.mosaic or 0.0
        name = build(RunName(request.model, pseudo=round_number, mosaic=mosaic))
    return WorkPaths(request.work_root).run(checked_name(name, what="--name"), request.fold)


def _config(request: TrainRequest, scale: str, data: TrainingData) -> dict[str, Any]:
    return resolve_config(
        request.model,
        scale,
        categories=data.train.categories,
        overrides=request.overrides,
        epochs=request.epochs,
        batch_size=request.batch_size,
        mosaic=request.mosaic,
        seed=request.seed,
        init=request.init,
        workers=request.workers,
    )


def _checked_leaks(request: TrainRequest, data: TrainingData) -> tuple[str, ...]:
    reasons = leak_reasons(data.train, data.val)
    if reasons and not request.allow_leak:
        raise UserError(
            "training would leak the validation fold: " + "; ".join(reasons),
            where=data.train_path,
            expected=f"pseudo-labels whose teachers never saw {data.val_path.name}",
            next_step=f"make pseudo-labels with models of fold {request.fold} only, or "
            "--allow-leak to train all the same (every table will say LEAKED)",
        )
    return reasons


def is_main_process() -> bool:
    """Tell whether this process writes files and talks to the terminal."""
    from models.engine.training.distributed import world_from_environment

    return world_from_environment().is_main


def _announce(run: PreparedRun, state: str, console: Console) -> None:
    request, lines = run.request, []
    if run.config["scale"] == "smoke":
        why = "asked for" if request.scale else "no GPU: the default"
        lines.append(f"SMOKE SCALE ({why}): a small version of {request.model}, not its recipe.")
        lines.append("For the recipe: --scale full")
    elif run.device == "cpu":
        lines.append("Full scale on the CPU: expect hours per epoch.")
    if request.resume and state == "fresh":
        lines.append("nothing to resume: starting afresh")
    if run.skipped:
        lines.append(f"{len(run.skipped)} broken pictures are left out; run.json names them")
    lines += run.notes
    lines.append(f"run folder: {run.paths.root}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _finished(paths: RunPaths) -> Mapping[str, Any]:
    read_run(paths)
    return read_checked(paths.finished_json, FinishedFile)
