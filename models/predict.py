"""`models predict`: a run's detector over a dataset, into a prediction file with provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.ground.paths import DataPaths, RunPaths, WorkPaths
from data_tools.predictions.files import require_parquet_name, write_predictions
from data_tools.predictions.table import Predictions, predictions_from_rows
from models.engine.data.picture_check import broken_pictures, refuse_broken, without_pictures
from models.engine.data.shared_memory import batch_bytes, workers_that_fit
from models.engine.libraries.choice import prediction_of
from models.engine.runs.folder import read_config, read_run, run_provenance
from models.engine.runs.training_data import require_images
from models.engine.training.device import choose_device
from models.registry import get_model

PLAIN_VIEW = "plain"


@dataclass(frozen=True)
class PredictRequest:
    """What the command line asks for.

    Attributes:
        run: run folder.
        split: "val" (the fold held out) or "test".
        data_root: folder of the dataset; None takes the run's.
        views: test-time views besides the plain one.
        out: prediction file; None puts it into the run folder.
        device: "auto", "cpu" or "cuda".
        batch_size: images at once; None takes the run's.
        workers: processes that load images; None takes the run's.
        allow_unfinished: predict although training has not ended.
    """

    run: Path
    split: str
    data_root: Path | None = None
    views: tuple[str, ...] = ()
    out: Path | None = None
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    allow_unfinished: bool = False


@dataclass(frozen=True)
class PredictedFile:
    """What was written, and how long each view took."""

    path: Path
    predictions: Predictions
    seconds_of_view: dict[str, float]


def predict(request: PredictRequest, console: Console) -> PredictedFile:
    """Predict one split with a run's best checkpoint and write the prediction file.

    Raises:
        UserError: no run, an unfinished one, another dataset's classes, a corrupt image.
    """
    paths = RunPaths(request.run)
    record, config = read_run(paths), read_config(paths)
    _check_finished(paths, record, request, console)
    coco, image_root = read_split(record, config, request)
    views = all_views(request.views)
    out = request.out or paths.predictions(request.split)
    require_parquet_name(out)
    provenance = run_provenance(record, coco, views)
    device = choose_device(request.device)
    broken = broken_pictures(coco, image_root)
    _warn_of_broken(broken, len(coco.images), image_root, console)
    batch_size = request.batch_size or config["batch_size"]
    workers = workers_that_fit(
        config["workers"] if request.workers is None else request.workers,
        batch_bytes(config["image_size_wh"], batch_size),
        is_asked=request.workers is not None,
        say=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
    )
    predictions, seconds = prediction_of(get_model(config["model"]).library)(
        paths,
        config,
        without_pictures(coco, broken),
        image_root,
        views=views,
        provenance=provenance,
        device=device,
        batch_size=batch_size,
        workers=workers,
        console=console,
    )
    predictions = _with_all_images(predictions, coco)
    write_predictions(out, predictions)
    return PredictedFile(out, predictions, seconds)


def _warn_of_broken(
    broken: Mapping[str, str], images: int, image_root: Path, console: Console
) -> None:
    """Say which pictures get an empty row: a night's predictions do not end because of them.

    Raises:
        UserError: not one picture can be decoded.
    """
    if len(broken) == images:
        refuse_broken(broken, image_root)
    for name, reason in broken.items():
        console.print(
            f"WARNING: {name}: {reason}; no boxes are predicted on it",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def _with_all_images(predictions: Predictions, coco: CocoDataset) -> Predictions:
    """Return the same boxes in a table that lists every image of the dataset."""
    if len(predictions.image_ids) == len(coco.images):
        return predictions
    return predictions_from_rows(
        coco.image_ids,
        predictions.image_id_of_row,
        predictions.labels,
        predictions.scores,
        predictions.boxes_xyxy,
        views=predictions.views,
        provenance=predictions.provenance,
    )


def all_views(extra: Sequence[str]) -> tuple[str, ...]:
    """Return the plain view and the wanted ones, checked.

    Raises:
        UserError: a name is no view, or is there twice.
    """
    from models.engine.data.views import parse_view

    names = [PLAIN_VIEW, *(name for name in extra if name != PLAIN_VIEW)]
    for name in names[1:]:
        parse_view(name)
    if len(set(names)) != len(names):
        raise UserError(f"a view is given twice: --tta {', '.join(names[1:])}")
    return tuple(names)


def read_split(
    record: dict[str, Any], config: dict[str, Any], request: PredictRequest
) -> tuple[CocoDataset, Path]:
    """Read the images to predict and check that they suit the run.

    Raises:
        UserError: unknown classes, missing files or images.
    """
    image_root = request.data_root or Path(record["data_root"])
    is_val = request.split == "val"
    path = validation_file(request.run, record) if is_val else DataPaths(image_root).test_json
    coco = read_coco(path)
    wanted = list(zip(config["category_ids"], config["classes"], strict=True))
    found = list(zip(coco.category_ids.tolist(), coco.category_names, strict=True))
    if found and found != wanted:
        raise UserError(
            f"the run knows other categories than the dataset: {_names(wanted)}, "
            f"not {_names(found)}",
            where=f"{request.run} and {path}",
            expected="the dataset that the run was trained on",
            next_step="give its folder with --data, or train on this dataset",
        )
    require_images(coco, image_root)
    return coco, image_root


def validation_file(run: Path, record: dict[str, Any]) -> Path:
    """Return the file of the fold that a run held out, as it was in training.

    Raises:
        UserError: it is gone, or the folds were drawn anew since.
    """
    recorded = Path(record["data"]["val_json"]["path"])
    # A work folder may have been moved, or be read from another place.
    beside = WorkPaths(run.absolute().parents[2]).val_json(record["fold"])
    path = recorded if recorded.is_file() else beside
    if path.is_file() and sha256_of_file(path) != record["data"]["val_json"]["sha256"]:
        raise UserError(
            "the fold's validation file is not the one that the run held out in training",
            where=path,
            expected=f"the file with SHA-256 {record['data']['val_json']['sha256'][:16]}...",
            next_step="draw the folds as they were, or train the run again",
        )
    return path


def _names(categories: Sequence[tuple[int, str]]) -> str:
    shown = [f"{number} {name}" for number, name in categories[:3]]
    return f"{len(categories)} ({', '.join(shown)}{', ...' if len(categories) > 3 else ''})"


def _check_finished(
    paths: RunPaths, record: dict[str, Any], request: PredictRequest, console: Console
) -> None:
    if paths.finished_json.is_file():
        return
    if not request.allow_unfinished:
        raise UserError(
            f"the run is not finished (its state is {record['state']})",
            where=paths.root,
            next_step=f"{record['command']} --resume"
            if "--resume" not in record["command"]
            else record["command"],
        )
    console.print(
        f"WARNING: {paths.root} is not finished; predicting with its best checkpoint so far",
        markup=False,
        soft_wrap=True,
    )
