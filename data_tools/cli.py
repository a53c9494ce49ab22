"""Command line of `data_tools`: parse, call one function, print one result."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from data_tools.folds.cli import split
from data_tools.ground.command_line import CommandGroup, advance
from data_tools.ground.options.limits import LAST_SEED, LONGEST_SIDE, MOST_ITEMS
from data_tools.ground.options.output import Result, output_options
from data_tools.predictions.formats.options import read_format_options
from data_tools.pseudo.cli import pseudo

FilePath = click.Path(path_type=Path)


@click.group(cls=CommandGroup, context_settings={"max_content_width": 100})
def main() -> None:
    """Datasets: draw, check, split, pseudo-label, measure, convert."""


main.add_command(pseudo)
main.add_command(split)


@main.command(renamed={"--force": "--overwrite"})
@click.option("--out", type=FilePath, default=Path("data"), show_default=True, help="Data root.")
@click.option(
    "--train-images",
    type=click.IntRange(max=MOST_ITEMS),
    default=560,
    show_default=True,
    help="Scenes with truth.",
)
@click.option(
    "--test-images",
    type=click.IntRange(max=MOST_ITEMS),
    default=160,
    show_default=True,
    help="Scenes without.",
)
@click.option(
    "--size",
    type=click.IntRange(max=LONGEST_SIDE),
    default=320,
    show_default=True,
    help="Side of the pictures in pixels.",
)
@click.option(
    "--seed", type=click.IntRange(0, LAST_SEED), default=411, show_default=True, help="Random seed."
)
@click.option("--overwrite", is_flag=True, help="Replace a sample drawn with other parameters.")
@output_options
def sample(
    out: Path, train_images: int, test_images: int, size: int, seed: int, overwrite: bool
) -> Result:
    """Draw the built-in dataset: scenes of trash with the real competition's statistics.

    The truth of the test images goes to hidden/test_truth.json, for checking a demo's score.

    \b
    Examples:
      python -m data_tools sample --out work/tiny --train-images 10 --test-images 5 --size 128
    """
    from data_tools.sample.dataset import SampleParameters, write_sample

    parameters = SampleParameters(train_images, test_images, size, seed)
    with click.progressbar(
        length=train_images + test_images, label="Drawing the sample", file=sys.stderr
    ) as bar:
        outcome = write_sample(out, parameters, overwrite=overwrite, tick=lambda: bar.update(1))
    return Result(
        {"out": out, "outcome": outcome, "parameters": parameters},
        f"{outcome}: {train_images} training and {test_images} test images, "
        f"{size} x {size} pixels, seed {seed}, in {out}",
    )


@main.command()
@click.argument("data", type=FilePath, default=Path("data"))
@click.option(
    "--coco",
    "coco_paths",
    type=FilePath,
    multiple=True,
    help="Annotation files to check.  [default: train.json and, if it is there, test.json of DATA]",
)
@click.option("--quick", is_flag=True, help="Read image headers only; no near-duplicates.")
@output_options
def verify(data: Path, coco_paths: tuple[Path, ...], quick: bool) -> Result:
    """Check the annotations and images of the data root DATA; ends with status 2 on errors.

    \b
    Examples:
      python -m data_tools verify data
      python -m data_tools verify data --quick --json
    """
    from data_tools.ground.paths import DataPaths
    from data_tools.pictures.verify import verify_dataset
    from data_tools.pictures.verify_text import show

    paths = DataPaths(data)
    with click.progressbar(length=1, label="Reading the images", file=sys.stderr) as bar:
        result = verify_dataset(
            coco_paths or paths.annotations(),
            data,
            decode=not quick,
            tick=advance(bar),
        )
    return Result(
        result.as_dict(),
        text=partial(show, result),
        exit_status=2 if result.count("error") else 0,
    )


@main.command()
@click.argument("data", type=FilePath, default=Path("data"))
@click.option("--out", type=FilePath, required=True, help="New data root.")
@click.option(
    "--coco",
    "coco_paths",
    type=FilePath,
    multiple=True,
    help="Annotation files.  [default: train.json and, if it is there, test.json of DATA]",
)
@click.option(
    "--boxes",
    type=click.Choice(["shown", "stored"]),
    help="Where the size of a picture with an EXIF mark does not tell: its boxes are of the "
    "picture as programs show it, or of the pixels as stored.",
)
@output_options
def repair(data: Path, out: Path, coco_paths: tuple[Path, ...], boxes: Any) -> Result:
    """Copy DATA with its pictures mended: broken ones as far as they decode, EXIF turns done.

    Pixels move into the frame that was annotated; sizes and boxes stay as they are.

    \b
    Examples:
      python -m data_tools repair data --out data-repaired
      python -m data_tools repair data --out data-turned --boxes shown --json
    """
    from data_tools.ground.paths import DataPaths
    from data_tools.pictures.repair.dataset import repair_dataset

    with click.progressbar(length=1, label="Reading the images", file=sys.stderr) as bar:
        report = repair_dataset(
            coco_paths or DataPaths(data).annotations(), data, out, boxes=boxes, tick=advance(bar)
        )
    return Result(report, report.text)


@main.command()
@click.argument("coco", type=FilePath)
@click.option("--against", type=FilePath, help="Second COCO file to compare with.")
@output_options
def stats(coco: Path, against: Path | None) -> Result:
    """Print classes, box sizes, shapes and boxes per image of one or two COCO files.

    \b
    Examples:
      python -m data_tools stats data/train.json
      python -m data_tools stats work/folds/val_3.json --against work/folds/train_3.json
    """
    from data_tools.coco.dataset import read_coco
    from data_tools.coco.statistics import box_measures, distances, statistics
    from data_tools.coco.statistics_text import show_distances, show_statistics

    paths = [coco] if against is None else [coco, against]
    datasets = [read_coco(path) for path in paths]
    found = [statistics(dataset) for dataset in datasets]
    apart = distances(*map(box_measures, datasets)) if against else None
    by_name = {str(path): one for path, one in zip(paths, found, strict=True)}
    same_name = len({path.name for path in paths}) < len(set(paths))
    names = [str(path) if same_name else path.name for path in paths]

    def show() -> None:
        show_statistics(names, found)
        if apart is not None:
            show_distances(apart)

    return Result({"files": by_name, "distances": apart}, text=show)


@main.command(renamed={"--image-root": "--data"})
@click.argument("source", type=FilePath)
@click.option(
    "--from",
    "kind",
    type=click.Choice(["coco", "voc", "yolo", "csv", "predictions"]),
    required=True,
    help="What SOURCE is.",
)
@click.option(
    "--out",
    type=FilePath,
    required=True,
    help="Annotations: a .json file (COCO) or a folder (YOLO). "
    "Predictions: .parquet, .json (COCO results) or .csv.",
)
@click.option("--images", type=FilePath, help="COCO file of the predicted images.")
@click.option(
    "--data",
    "image_root",
    type=FilePath,
    default=Path("data"),
    show_default=True,
    help="Folder of the images, where SOURCE lacks their sizes or names them otherwise.",
)
@click.option("--zero-based", is_flag=True, help="VOC corners count from 0, not from 1.")
@click.option("--overwrite", is_flag=True, help="Replace YOLO labels of other images in --out.")
@click.option(
    "--boxes",
    type=click.Choice(["xyxy", "xywh"]),
    help="Predictions: what the four numbers of a box are, where not what their format says: two "
    "corners, or a corner, width and height.",
)
@click.option(
    "--sort-scores",
    is_flag=True,
    help="Predictions: write the boxes of each image in descending order of score.",
)
@read_format_options
@output_options
def convert(**options: Any) -> Result:
    """Convert annotations (VOC, YOLO, CSV, COCO) or predictions (Parquet, COCO results, CSV).

    Reading COCO repairs what other tools write differently, and counts it.

    \b
    Examples:
      python -m data_tools convert data/train.json --from coco --out work/yolo-labels
      python -m data_tools convert work/yolo-labels --from yolo --out work/again.json
      python -m data_tools convert work/ensemble/test.parquet --from predictions \\
        --images data/test.json --out work/test-results.json
    """
    from data_tools.convert.command import ConvertRequest
    from data_tools.convert.command import convert as run_conversion

    converted = run_conversion(ConvertRequest(**options))
    return Result(converted, converted.text)


@main.command()
@click.option("--data", type=FilePath, required=True, help="Data root.")
@click.option("--work", type=FilePath, required=True, help="Work root.")
@output_options
def claim(data: Path, work: Path) -> Result:
    """Tie a work folder to one dataset, so that results of two never mix.

    A folder with work of the built-in sample is moved aside when real data arrives.

    \b
    Examples:
      python -m data_tools claim --data data --work work
    """
    from data_tools.coco.workspace import claim_work_folder
    from data_tools.ground.paths import DataPaths, WorkPaths

    outcome = claim_work_folder(DataPaths(data), WorkPaths(work))
    moved = f"{work} held work of the built-in sample: moved to {outcome.moved_to}"
    return Result(
        {"data": data, "work": work, "status": outcome.status, "moved_to": outcome.moved_to},
        "" if outcome.moved_to is None else moved,
    )
