"""Command line of `data_tools`: parse, call one function, print one result."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.command_line import CommandGroup
from data_tools.pseudo.cli import pseudo

FilePath = click.Path(path_type=Path)


@click.group(cls=CommandGroup, context_settings={"max_content_width": 100})
def main() -> None:
    """Datasets: draw, check, split, pseudo-label, measure, convert."""


main.add_command(pseudo)


@main.command()
@click.option("--out", type=FilePath, default=Path("data"), show_default=True, help="Data root.")
@click.option("--train-images", default=560, show_default=True, help="Scenes with truth.")
@click.option("--test-images", default=160, show_default=True, help="Scenes without.")
@click.option("--size", default=320, show_default=True, help="Side of the pictures in pixels.")
@click.option("--seed", default=411, show_default=True, help="Random seed.")
@click.option("--force", is_flag=True, help="Replace a sample drawn with other parameters.")
def sample(
    out: Path, train_images: int, test_images: int, size: int, seed: int, force: bool
) -> None:
    """Draw the built-in dataset: scenes of trash with the real competition's statistics.

    The truth of the test images goes to hidden/test_truth.json, for checking a demo's score.

    \b
    Examples:
      python -m data_tools sample
      python -m data_tools sample --out work/tiny --train-images 10 --test-images 5 --size 128
    """
    from data_tools.sample.dataset import SampleParameters, write_sample

    parameters = SampleParameters(train_images, test_images, size, seed)
    with click.progressbar(
        length=train_images + test_images, label="Drawing the sample", file=_terminal()
    ) as bar:
        outcome = write_sample(out, parameters, force=force, tick=lambda: bar.update(1))
    click.echo(
        f"{outcome}: {train_images} training and {test_images} test images, "
        f"{size} x {size} pixels, seed {seed}, in {out}"
    )


@main.command()
@click.argument("data", type=FilePath, default=Path("data"))
@click.option(
    "--coco",
    "coco_paths",
    type=FilePath,
    multiple=True,
    help="Annotation files to check.  [default: train.json and test.json of DATA]",
)
@click.option("--quick", is_flag=True, help="Read image headers only; no near-duplicates.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(
    context: click.Context, data: Path, coco_paths: tuple[Path, ...], quick: bool, as_json: bool
) -> None:
    """Check the annotations and images of the data root DATA; ends with status 2 on errors.

    \b
    Examples:
      python -m data_tools verify data
      python -m data_tools verify data --quick --json
    """
    import json

    from data_tools.paths import DataPaths
    from data_tools.verify import verify_dataset
    from data_tools.verify_report import show

    paths = DataPaths(data)
    result = verify_dataset(
        coco_paths or (paths.train_json, paths.test_json), data, decode=not quick
    )
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
    else:
        show(result)
    if result.count("error"):
        context.exit(2)


@main.command()
@click.option("--coco", type=FilePath, required=True, help="Annotations to split (train.json).")
@click.option("--out", type=FilePath, required=True, help="Folder for the folds.")
@click.option("--folds", default=5, show_default=True, help="Number of folds.")
@click.option("--seed", default=411, show_default=True, help="Random seed.")
@click.option(
    "--scheme",
    default="seed",
    show_default=True,
    help="seed: the published folds, image by image; stratified: alike in class, size and count.",
)
def split(coco: Path, out: Path, folds: int, seed: int, scheme: str) -> None:
    """Write train_<k>.json and val_<k>.json for each fold, and split.json.

    \b
    Examples:
      python -m data_tools split --coco data/train.json --out work/folds
      python -m data_tools split --coco data/train.json --out work/folds-alike --scheme stratified
    """
    from data_tools.split import describe_split, split_dataset, write_split

    result, dataset = split_dataset(coco, folds=folds, seed=seed, scheme=scheme)
    write_split(out, result, dataset)
    click.echo(describe_split(result, out))


@main.command()
@click.option("--data", type=FilePath, required=True, help="Data root.")
@click.option("--work", type=FilePath, required=True, help="Work root.")
def claim(data: Path, work: Path) -> None:
    """Tie a work folder to one dataset, so that results of two never mix.

    A folder with work of the built-in sample is moved aside when real data arrives.

    \b
    Examples:
      python -m data_tools claim --data data --work work
    """
    from data_tools.paths import DataPaths, WorkPaths
    from data_tools.workspace import claim_work_folder

    outcome = claim_work_folder(DataPaths(data), WorkPaths(work))
    if outcome.moved_to is not None:
        click.echo(f"{work} held work of another sample: moved to {outcome.moved_to}")


def _terminal() -> object:
    """Progress goes to standard error, so that results can be piped."""
    return click.get_text_stream("stderr")
