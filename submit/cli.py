"""Command line of `submit`: write a submission, check it, score it, keep the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.command_line import CommandGroup

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=CommandGroup)
def main() -> None:
    """Write, check and score submissions."""


@main.command()
@click.argument("predictions_file", metavar="PRED", type=FILE)
@click.option("--images", type=FILE, required=True, help="COCO file of the images, test.json.")
@click.option("--out", type=FILE, required=True, help="The submission to write.")
def write(predictions_file: Path, images: Path, out: Path) -> None:
    """Write a prediction file as a submission.

    Every image is written, in the order of the COCO file; boxes are ordered by falling score and
    cut to the image.

    \b
    Examples:
      python -m submit write work/ensemble/test.parquet --images data/test.json \\
          --out work/submission.csv
    """
    from submit.reports import write_text
    from submit.writing import write_submission

    click.echo(write_text(out, write_submission(predictions_file, images, out)))


@main.command()
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--json", "json_file", type=FILE, help="Also write all figures to this file.")
@click.option("--bootstrap", default=1000, show_default=True, help="Samples for the interval.")
@click.option("--seed", default=411, show_default=True, help="Seed of those samples.")
def score(
    predictions_file: Path, truth: Path, json_file: Path | None, bootstrap: int, seed: int
) -> None:
    """Score predictions or a submission against the truth, with both metrics.

    \b
    Examples:
      python -m submit score work/ensemble/val.parquet --truth work/folds/val_3.json
      python -m submit score work/runs/yolox/fold3/predictions/val.parquet \\
          --truth work/folds/val_3.json --json work/yolox_score.json
    """
    from submit.reports import score_text
    from submit.scoring import score_file

    result = score_file(
        predictions_file, truth, bootstrap_samples=bootstrap, seed=seed, json_file=json_file
    )
    click.echo(score_text(result))
