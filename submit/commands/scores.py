"""Commands about how good predictions are: score, table, diagnose, plan."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.ground.command_line import Command
from data_tools.ground.options.limits import LAST_SEED, MOST_SAMPLES
from data_tools.ground.options.output import Result, output_options
from data_tools.predictions.formats.options import read_format_options
from submit.commands.options import FILE


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
@read_format_options
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
    from data_tools.predictions.formats.read import reading_format
    from submit.scores.of_file import score_file
    from submit.scores.score_text import score_text

    result = score_file(
        predictions_file,
        truth,
        bootstrap_samples=samples,
        seed=seed,
        submission_format=reading_format(format_name, format_file, [predictions_file]),
        disagree=disagree,
    )
    return Result(result, score_text(result))


@click.command(cls=Command)
@click.argument("predictions_files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@read_format_options
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
    from data_tools.predictions.formats.read import reading_format
    from submit.scores.table import score_table, table_text

    chosen = reading_format(format_name, format_file, predictions_files)
    rows = score_table(predictions_files, truth, submission_format=chosen)
    return Result(rows, table_text(rows))


@click.command(
    cls=Command, renamed={"--json FILE": "--json-out FILE", "--score-threshold": "--threshold"}
)
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--threshold", default=0.3, show_default=True,
              help="Lowest score in the confusion matrix.")  # fmt: skip
@read_format_options
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
    from data_tools.predictions.formats.read import reading_format
    from submit.scores.diagnosis_text import diagnosis_text
    from submit.scores.of_file import diagnose_file

    result = diagnose_file(
        predictions_file,
        truth,
        score_threshold=threshold,
        submission_format=reading_format(format_name, format_file, [predictions_file]),
    )
    return Result(result, diagnosis_text(result))


@click.command(cls=Command)
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--loss", default=0.001, show_default=True, help="mAP50 that may be given up.")
@read_format_options
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
    from data_tools.predictions.formats.read import reading_format
    from submit.plan import plan_file, plan_text

    chosen = reading_format(format_name, format_file, [predictions_file])
    result = plan_file(predictions_file, truth, loss=loss, submission_format=chosen)
    return Result(result, plan_text(result))
