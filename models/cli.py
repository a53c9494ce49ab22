"""Command line of `models`: parses, calls one function, prints one result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.options.limits import (
    LAST_SEED,
    MOST_ITEMS,
    MOST_PICTURES,
    MOST_PROCESSES,
    MOST_ROUNDS,
)
from data_tools.ground.options.output import Result, output_options, without_output_options
from models.registry import MODELS, SCALES


@click.group(cls=CommandGroup)
def main() -> None:
    """Detectors: list them, train one, predict with it."""


def _quiet_libraries() -> None:
    """Hide warnings about the libraries' own code, which say nothing to the user."""
    import warnings

    warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)


@main.command("list")
@output_options
def list_models() -> Result:
    """List the models.

    \b
    Examples:
        python -m models list
        python -m models list --json
    """
    rows = [
        {"name": spec.name, "summary": spec.summary, "licence": spec.licence} for spec in MODELS
    ]
    width = max(len(row["name"]) for row in rows)
    lines = [f"{row['name']:<{width}}  {row['summary']}  [{row['licence']}]" for row in rows]
    return Result(rows, "\n".join(lines))


@main.command(renamed={"--force": "--allow-leak"})
@click.argument("model")
@click.option(
    "--data",
    "data_root",
    type=click.Path(path_type=Path),
    default="data",
    show_default=True,
    help="Folder with train.json, test.json and the images.",
)
@click.option(
    "--fold", type=click.IntRange(max=MOST_ITEMS), required=True, help="Fold that is held out."
)
@click.option(
    "--work",
    "work_root",
    type=click.Path(path_type=Path),
    default="work",
    show_default=True,
    help="Folder of everything that the kit produces.",
)
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    help="full: the recipe; smoke: a small version. Default: full with a GPU, else smoke.",
)
@click.option("--mosaic", type=click.FloatRange(0, 1), help="Share of samples made of 4 images.")
@click.option(
    "--pseudo",
    type=click.Path(path_type=Path),
    help="Training part of this fold with pseudo-labels (python -m data_tools pseudo).",
)
@click.option(
    "--epochs", type=click.IntRange(1, MOST_ROUNDS), help="Passes over the training images."
)
@click.option(
    "--batch",
    "batch_size",
    type=click.IntRange(1, MOST_PICTURES),
    help="Images per step, all GPUs.",
)
@click.option("--seed", type=click.IntRange(0, LAST_SEED), default=42, show_default=True,
              help="Random seed.")  # fmt: skip
@click.option(
    "--init", metavar="none|imagenet|FILE", help="Initial weights; default: as the recipe."
)
@click.option(
    "--workers", type=click.IntRange(0, MOST_PROCESSES), help="Processes that load images."
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="auto: a GPU if there is one.",
)  # fmt: skip
@click.option(
    "--gpus",
    "processes",
    type=click.IntRange(1, MOST_PROCESSES),
    default=1,
    show_default=True,
    help="GPUs of this machine to train on, a process each.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting of the config; may be given again. See docs/models.md.",
)
@click.option("--name", help="Experiment; default: the model and what differs from its recipe.")
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint, if there is one.")
@click.option("--wandb", is_flag=True, help="Also log to Weights & Biases (offline works).")
@click.option("--skip-broken", is_flag=True, help="Train without pictures that do not decode.")
@click.option("--allow-leak", is_flag=True, help="Train although the validation fold leaks.")
@output_options
def train(processes: int, **options: Any) -> Result:
    """Train MODEL on all folds but one, and score it on that one.

    \b
    Examples:
        python -m models train tood_dcn --data data --fold 3 --resume
        python -m models train yolox --data data --fold 3 --scale smoke --resume
        python -m models train tood_dcn --data data --fold 3 --epochs 1 --name short --resume
    """
    from rich.console import Console

    from models.engine.runs.folder import command_text
    from models.engine.runs.request import TrainRequest
    from models.engine.runs.restart import OUT_OF_MEMORY_STATUS, SmallerPassesNeeded
    from models.engine.training.launch import is_launched
    from models.engine.training.resuming.interrupt import Interruption
    from models.train import is_main_process, train, train_in_processes

    _quiet_libraries()
    console = Console()
    command = command_text()
    request = TrainRequest(**options, command=command)
    try:
        if processes > 1 and not is_launched():
            arguments = without_output_options(sys.argv[1:])
            if status := train_in_processes(request, processes, arguments, console):
                sys.exit(status)
            finished = train(request, Console(quiet=True))  # only reads what they recorded
        else:
            finished = train(request, console)
    except Interruption as stop:
        resume = command if "--resume" in command else f"{command} --resume"
        if is_main_process():
            console.print(
                f"stopped by {stop}; {stop.kept}. Continue with:\n  {resume}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
        sys.exit(stop.exit_status)
    except SmallerPassesNeeded as error:
        if str(error):
            click.echo(str(error), err=True)
        sys.exit(OUT_OF_MEMORY_STATUS)
    if not finished:
        return Result(finished, "")
    score = finished["val"]["competition_map50"]
    best = f"best epoch {finished['epoch'] + 1}: competition_map50 {score or 0:.4f}"
    has_been_said = processes > 1 and not is_launched()
    return Result(finished, "" if has_been_said else best)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--split",
    "splits",
    type=click.Choice(["val", "test"]),
    multiple=True,
    required=True,
    help="val: the fold held out in training; test: the images of test.json. May be repeated.",
)
@click.option(
    "--data",
    "data_root",
    type=click.Path(path_type=Path),
    help="Folder of the dataset; default: the run's.",
)
@click.option(
    "--tta",
    "views",
    multiple=True,
    metavar="VIEW",
    help="One more view: hflip, vflip, rot90, rot180, rot270, scale1.25, or several joined by +.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Default: predictions/ of the run.")
@click.option(
    "--batch", "batch_size", type=click.IntRange(1, MOST_PICTURES), help="Images at once."
)
@click.option(
    "--workers", type=click.IntRange(0, MOST_PROCESSES), help="Processes that load images."
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="auto: a GPU if there is one.",
)  # fmt: skip
@click.option("--allow-unfinished", is_flag=True, help="Predict before training has ended.")
@output_options
def predict(splits: tuple[str, ...], **options: Any) -> Result:
    """Predict one or both splits with the best checkpoint of RUN.

    \b
    Examples:
        python -m models predict work/runs/tood_dcn/fold3 --split val --split test
        python -m models predict work/runs/tood_dcn/fold3 --split test
        python -m models predict work/runs/yolox/fold3 --split val --tta hflip --out work/t.parquet
    """
    import numpy as np
    from rich.console import Console

    from models.engine.training.resuming.interrupt import Interruption
    from models.predict import PredictRequest, predict

    if options["out"] is not None and len(splits) > 1:
        raise click.UsageError("--out names one file: give one --split with it")
    _quiet_libraries()
    lines, written = [], []
    for split in dict.fromkeys(splits):
        try:
            result = predict(PredictRequest(split=split, **options), Console())
        except Interruption as stop:
            click.echo(f"stopped by {stop}; nothing was written", err=True)
            sys.exit(stop.exit_status)
        table = result.predictions
        lines.append(f"{result.path}: {len(table)} boxes on {len(table.image_ids)} images")
        views = []
        for number, view in enumerate(table.provenance.views):
            boxes, seconds = int(np.sum(table.views == number)), result.seconds_of_view[view]
            lines.append(f"  view {view}: {boxes} boxes, {seconds:.1f} s")
            views.append({"view": view, "boxes": boxes, "seconds": seconds})
        written.append(
            {"split": split, "out": result.path, "images": len(table.image_ids),
             "boxes": len(table), "views": views}
        )  # fmt: skip
    return Result(written, "\n".join(lines))


@main.command()
@output_options
def doctor() -> Result:
    """Say what this machine has and what is missing, with the command that fixes it.

    \b
    Examples:
        python -m models doctor
        python -m models doctor --json
    """
    from models.doctor import examine, format_report

    report = examine()
    return Result(report, format_report(report))
