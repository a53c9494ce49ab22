"""The command `data_tools split`: parse, call one function, print one result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from data_tools.ground.command_line import Command
from data_tools.ground.errors import UserError
from data_tools.ground.options.limits import LAST_SEED, MOST_ITEMS, MOST_ROUNDS
from data_tools.ground.options.output import Result, output_options
from data_tools.predictions.formats.options import read_format_options

FilePath = click.Path(path_type=Path)


@click.command(cls=Command)
@click.option("--coco", type=FilePath, required=True, help="Annotations to split (train.json).")
@click.option("--out", type=FilePath, required=True, help="Folder for the folds.")
@click.option(
    "--folds",
    type=click.IntRange(max=MOST_ITEMS),
    default=5,
    show_default=True,
    help="Number of folds.",
)
@click.option("--seed", type=click.IntRange(0, LAST_SEED), default=411, show_default=True,
              help="Random seed; first one of a search.")  # fmt: skip
@click.option(
    "--scheme",
    help="seed: the published folds, image by image; stratified: alike in class, size and count."
    "  [default: seed; stratified with --search]",
)
@click.option(
    "--search",
    type=click.IntRange(max=MOST_ROUNDS),
    help="Try this many seeds; write the most test-like split.",
)
@click.option("--against", type=FilePath, help="Search: test images to resemble (test.json).")
@click.option("--predictions", type=FilePath, help="Search: boxes predicted on --against.")
@read_format_options
@click.option("--threshold", default=0.3, show_default=True, help="Search: lowest score of those.")
@click.option("--data", "image_root", type=FilePath, help="Search: compare pictures under here.")
@click.option("--ledger", type=FilePath, help="Search: submission ledger, for its scores.")
@output_options
def split(
    coco: Path,
    out: Path,
    folds: int,
    seed: int,
    scheme: str | None,
    search: int | None,
    against: Path | None,
    predictions: Path | None,
    format_name: str | None,
    format_file: Path | None,
    threshold: float,
    image_root: Path | None,
    ledger: Path | None,
) -> Result:
    """Write train_<k>.json and val_<k>.json for each fold, and split.json.

    With --search, many seeds are tried and their folds ranked by distance to the test images:
    class, size and boxes per image (from annotations or confident predictions), and pictures.

    \b
    Examples:
      python -m data_tools split --coco data/train.json --out work/folds
      python -m data_tools split --coco data/train.json --out work/folds-alike --scheme stratified
      python -m data_tools split --coco data/train.json --out work/folds-found --search 20 \\
        --against data/test.json --data data --ledger work/ledger.csv
    """
    from data_tools.folds.split import describe_split, split_dataset, write_split

    if search is None:
        found = None
        given: dict[str, Any] = {
            "--against": against,
            "--predictions": predictions,
            "--data": image_root,
        }
        given |= {"--ledger": ledger, "--format": format_name, "--format-file": format_file}
        unused = [name for name, value in given.items() if value]
        if unused:
            raise UserError(f"{unused[0]} only goes with --search", next_step="add --search 100")
    else:
        from data_tools.coco.statistics_text import show_ranking
        from data_tools.folds.search import SearchRequest, search_seeds

        scheme = scheme or "stratified"
        request = SearchRequest(
            coco, folds, range(seed, seed + search), scheme, against, predictions, threshold,
            image_root, ledger, format_name, format_file,
        )  # fmt: skip
        found = search_seeds(request)
        seed = found.ranked[0].seed
    result, dataset = split_dataset(coco, folds=folds, seed=seed, scheme=scheme or "seed")
    write_split(out, result, dataset)
    written = describe_split(result, out)

    def show() -> None:
        if found is not None:
            show_ranking(found.ranked, found.ledger)
            if found.broken_pictures:
                click.echo(
                    f"warning: {found.broken_pictures} pictures do not decode and were not "
                    f"compared; python -m data_tools verify {image_root} lists them"
                )
        click.echo(written)

    sizes = [len(result.file_names(fold)) for fold in range(result.folds)]
    summary = {
        "out": out,
        "scheme": result.scheme,
        "seed": result.seed,
        "validation_images": sizes,
        "images_without_boxes": result.images_without_boxes,
        "skipped_boxes": result.skipped_boxes,
        "search": found,
    }
    return Result(summary, text=show)
