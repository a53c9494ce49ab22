"""Command line of the fusion engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from data_tools.command_line import CommandGroup
from data_tools.errors import UserError
from ensemble.settings import (
    CONFIDENCE_TYPES,
    METHODS,
    FusionSettings,
)


@click.group(cls=CommandGroup)
def main() -> None:
    """Fuse the predictions of several models into one file."""


@main.command()
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
@click.option("--images", required=True, help="COCO file of the images that were predicted.")
@click.option("--out", required=True, help="Prediction file to write (.parquet).")
@click.option("--method", type=click.Choice(METHODS), default="wbf", show_default=True)
@click.option("--iou", type=float, default=0.6, show_default=True, help="Overlap to match.")
@click.option("--skip", type=float, default=0.0, show_default=True, help="Drop lower scores first.")
@click.option("--weights", help="One positive number per member, such as 2,1,1.")
@click.option("--conf-type", type=click.Choice(CONFIDENCE_TYPES), default="avg", show_default=True)
@click.option("--allow-missing", is_flag=True, help="Count images that a member misses as empty.")
def fuse(members: tuple[str, ...], images: str, out: str, **options: Any) -> None:
    """Fuse prediction files, submission CSVs, COCO results, globs or run folders.

    \b
    Examples:
      python -m ensemble fuse work/runs/*/fold3/predictions/val.parquet \\
        --images work/folds/val_3.json --out work/ensemble/val.parquet
    """
    from data_tools.coco import read_coco
    from data_tools.prediction_files import write_predictions
    from ensemble.fuse import fuse_members
    from ensemble.members import read_members

    settings = FusionSettings(
        method=options["method"],
        iou=options["iou"],
        skip=options["skip"],
        weights=_numbers(options["weights"]),
        confidence=options["conf_type"],
    )
    dataset = read_coco(images)
    loaded = read_members(members, dataset, allow_missing=options["allow_missing"])
    fusion = fuse_members(loaded, dataset, settings, run=Path(out).stem)
    write_predictions(out, fusion.predictions)
    click.echo(
        f"{len(loaded)} members, {len(fusion.table.rows.scores)} boxes -> "
        f"{len(fusion.predictions)} boxes on {len(dataset.images)} images: {out}"
    )


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"--weights is {text!r}", expected="numbers with commas between, such as 2,1,0.5"
        ) from None
