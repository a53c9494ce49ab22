"""Commands about how good predictions are: score, table, diagnose, plan."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.ground.command_line import Command
from data_tools.ground.options.limits import LAST_SEED, MOST_SAMPLES
from data_tools.ground.options.output import Result, output_options
from submit.commands.options import FILE, FORMAT_FILE, READ_FORMAT


@click.command(cls=Command, renamed={"--json FILE": "--json-out FILE", "--bootstrap": "--samples"})
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option(
    "--samples",
    type=click.IntRange(0, MOST_SAMPLES),
    default=1000,
    show_default=True,
    help="Samples for the interval.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LAST_SEED),
    default=411,
    show_default=True,
    help="Seed of those samples.",
)
@READ_FORMAT
@FORMAT_FILE
@click.option(
    "--disagree", is_flag=True, help="List the boxes that the two metrics judge differently."
)
@output_options
def score(
    predictions_file: Path,
    truth: Path,
    samples: int,
    seed: int,
    format_name: str | None,
    format_file: Path | None,
    disagree: bool,
) -> Result:
    """Score predictions or a submission against the truth, with both metrics.

    \b
    Examples:
      python -m submit score work/ensemble/val.parquet --truth work/folds/val_3.json
      python -m submit score work/runs/yolox/fold3/predictions/val.parquet \\
          --truth work/folds/val_3.json --json-out work/yolox_score.json
      python -m submit score work/ensemble/val.parquet --truth work/folds/val_3.json --disagree
    """
    from submit.scores.of_file import score_file
    from submit.scores.score_text import score_text

    result = score_file(
        predictions_file,
        truth,
        bootstrap_samples=samples,
        seed=seed,
        format_name=format_name,
        format_file=format_file,
        disagree=disagree,
    )
    return Result(result, score_text(result))


@click.command(cls=Command)
@click.argument("predictions_files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@READ_FORMAT
@FORMAT_FILE
@output_options
def table(
    predictions_files: tuple[Path, ...],
    truth: Path,
    format_name: str | None,
    format_file: Path | None,
) -> Result:
    """Score several files against one truth, side by side: members and their fusion.

    \b
    Examples:
      python -m submit table work/runs/yolox/fold3/predictions/val.parquet \\
          work/ensemble/val.parquet --truth work/folds/val_3.json
    """
    from submit.scores.table import score_table, table_text

    rows = score_table(predictions_files, truth, format_name=format_name, format_file=format_file)
    return Result(rows, table_text(rows))


@click.command(
    cls=Command, renamed={"--json FILE": "--json-out FILE", "--score-threshold": "--threshold"}
)
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--threshold", default=0.3, show_default=True,
              help="Lowest score in the confusion matrix.")  # fmt: skip
@READ_FORMAT
@FORMAT_FILE
@output_options
def diagnose(
    predictions_file: Path,
    truth: Path,
    threshold: float,
    format_name: str | None,
    format_file: Path | None,
) -> Result:
    """Show where points are lost: kinds of error, confusions, thresholds, calibration.

    \b
    Examples:
      python -m submit diagnose work/ensemble/val.parquet --truth work/folds/val_3.json
    """
    from submit.scores.diagnosis_text import diagnosis_text
    from submit.scores.of_file import diagnose_file

    result = diagnose_file(
        predictions_file,
        truth,
        score_threshold=threshold,
        format_name=format_name,
        format_file=format_file,
    )
    return Result(result, diagnosis_text(result))


@click.command(cls=Command)
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--loss", default=0.001, show_default=True, help="mAP50 that may be given up.")
@READ_FORMAT
@FORMAT_FILE
@output_options
def plan(
    predictions_file: Path,
    truth: Path,
    loss: float,
    format_name: str | None,
    format_file: Path | None,
) -> Result:
    """Find the smallest submission within a loss of mAP50, on the validation fold.

    Also warns when the score floor or the cap per image that FILE was made with seems to cost
    recall.

    \b
    Examples:
      python -m submit plan work/ensemble/val.parquet --truth work/folds/val_3.json
      python -m submit plan work/ensemble/val.parquet --truth work/folds/val_3.json --loss 0.002
    """
    from submit.plan import plan_file, plan_text

    result = plan_file(
        predictions_file, truth, loss=loss, format_name=format_name, format_file=format_file
    )
    return Result(result, plan_text(result))
