"""Command line of `submit`: write a submission, check it, score it, keep the ledger."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError
from data_tools.ground.options.output import Result, output_options
from data_tools.ground.paths import WorkPaths

FILE = click.Path(path_type=Path, dir_okay=False)
FORMAT_FILE = click.option(
    "--format-file", type=FILE, help="YAML with formats of your own (see docs/submission.md)."
)


@click.group(cls=CommandGroup)
def main() -> None:
    """Write, check and score submissions."""


@main.command()
@click.argument("predictions_file", metavar="PRED", type=FILE)
@click.option("--images", type=FILE, required=True, help="COCO file of the images, test.json.")
@click.option("--out", type=FILE, required=True, help="The submission to write.")
@click.option("--format", "format_name",
              help="Name from `submit formats`.  [default: aistages]")  # fmt: skip
@FORMAT_FILE
@click.option("--score-floor", default=0.0, show_default=True, help="Leave out boxes below it.")
@click.option("--max-per-image", type=click.IntRange(min=1), help="Keep only the best so many.")
@click.option("--score-digits", type=click.IntRange(0, 9), help="Decimals of scores.")
@click.option("--coordinate-digits", type=click.IntRange(0, 9), help="Decimals of coordinates.")
@output_options
def write(
    predictions_file: Path,
    images: Path,
    out: Path,
    format_name: str | None,
    format_file: Path | None,
    score_floor: float,
    max_per_image: int | None,
    score_digits: int | None,
    coordinate_digits: int | None,
) -> Result:
    """Write a prediction file as a submission.

    Every image is written, in the order of the COCO file; boxes are ordered by falling score and
    cut to the image.

    \b
    Examples:
      python -m submit write work/ensemble/test.parquet --images data/test.json \\
          --out work/submission.csv
      python -m submit write work/ensemble/test.parquet --images data/test.json \\
          --out work/submission_kaggle.csv --format kaggle
    """
    from submit.trimming import Trim
    from submit.write import write_submission, write_text

    report = write_submission(
        predictions_file,
        images,
        out,
        format_name=format_name,
        format_file=format_file,
        trim=Trim(score_floor, max_per_image, score_digits, coordinate_digits),
    )
    return Result({"out": out, **asdict(report)}, write_text(out, report))


@main.command()
@click.argument("submission", metavar="FILE", type=FILE)
@click.option("--images", type=FILE, required=True, help="COCO file of the images, test.json.")
@click.option("--format", "format_name",
              help="Name from `submit formats`.  [default: aistages]")  # fmt: skip
@FORMAT_FILE
@click.option("--against", type=FILE, help="An earlier submission to compare with.")
@output_options
def check(
    submission: Path,
    images: Path,
    format_name: str | None,
    format_file: Path | None,
    against: Path | None,
) -> Result:
    """Check a submission before it is handed in; errors end with status 2.

    \b
    Examples:
      python -m submit check work/submission.csv --images data/test.json
      python -m submit check work/submission.csv --images data/test.json --json
      python -m submit check work/submission.csv --images data/test.json \\
          --against work/submission.csv
    """
    from submit.checks.preflight import check_file, unreadable
    from submit.checks.text import check_text

    try:
        result = check_file(submission, images, format_name=format_name, format_file=format_file)
    except UserError as error:
        # A program gets a finding like any other; a person gets the message alone.
        return Result(
            {**unreadable(submission, format_name, error).as_dict(), "against": None},
            text=partial(_raise, error),
            exit_status=2,
        )
    difference = None
    if against is not None and result.errors:
        difference = {"against": str(against), "not_compared": "the file has errors"}
    elif against is not None:
        from submit.scores.changes import compare_files

        difference = compare_files(
            against, submission, images, format_name=format_name, format_file=format_file
        )
    return Result(
        {**result.as_dict(), "against": difference},
        check_text(result, difference),
        exit_status=2 if result.errors else 0,
    )


def _raise(error: UserError) -> None:
    raise error


@main.command()
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--loss", default=0.001, show_default=True, help="mAP50 that may be given up.")
@output_options
def plan(predictions_file: Path, truth: Path, loss: float) -> Result:
    """Find the smallest submission within a loss of mAP50, on the validation fold.

    Also warns when the score floor or the cap per image that FILE was made with seems to cost
    recall.

    \b
    Examples:
      python -m submit plan work/ensemble/val.parquet --truth work/folds/val_3.json
      python -m submit plan work/ensemble/val.parquet --truth work/folds/val_3.json --loss 0.002
    """
    from submit.plan import plan_file, plan_text

    result = plan_file(predictions_file, truth, loss=loss)
    return Result(result, plan_text(result))


@main.command(renamed={"--json FILE": "--json-out FILE", "--score-threshold": "--threshold"})
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--threshold", default=0.3, show_default=True,
              help="Lowest score in the confusion matrix.")  # fmt: skip
@output_options
def diagnose(predictions_file: Path, truth: Path, threshold: float) -> Result:
    """Show where points are lost: kinds of error, confusions, thresholds, calibration.

    \b
    Examples:
      python -m submit diagnose work/ensemble/val.parquet --truth work/folds/val_3.json
    """
    from submit.scores.diagnosis_text import diagnosis_text
    from submit.scores.of_file import diagnose_file

    result = diagnose_file(predictions_file, truth, score_threshold=threshold)
    return Result(result, diagnosis_text(result))


@main.command()
@FORMAT_FILE
@output_options
def formats(format_file: Path | None) -> Result:
    """List the submission formats.

    \b
    Examples:
      python -m submit formats
    """
    from submit.formats.catalogue import load_formats

    found = {name: entry.description for name, entry in load_formats(format_file).items()}
    return Result(found, "\n".join(f"{name:<18} {about}" for name, about in found.items()))


@main.command(renamed={"--json FILE": "--json-out FILE", "--bootstrap": "--samples"})
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Samples for the interval.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=411,
    show_default=True,
    help="Seed of those samples.",
)
@click.option("--format", "format_name", help="Submission format of FILE, if it is not a CSV "
              "of the seed's competition, COCO results or a prediction file.")  # fmt: skip
@FORMAT_FILE
@click.option("--disagree", is_flag=True, help="List the boxes that the two metrics judge apart.")
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


@main.command()
@click.argument("predictions_files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@output_options
def table(predictions_files: tuple[Path, ...], truth: Path) -> Result:
    """Score several files against one truth, side by side: members and their fusion.

    \b
    Examples:
      python -m submit table work/runs/yolox/fold3/predictions/val.parquet \\
          work/ensemble/val.parquet --truth work/folds/val_3.json
    """
    from submit.scores.table import score_table, table_text

    rows = score_table(predictions_files, truth)
    return Result(rows, table_text(rows))


@main.command(renamed={"--validation": "--predictions"})
@click.argument("submission", metavar="[FILE]", required=False, type=FILE)
@click.option("--ledger", type=FILE, default=WorkPaths(Path("work")).ledger_csv, show_default=True,
              help="The ledger.")  # fmt: skip
@click.option("--predictions", type=FILE, help="The same members' prediction file of the "
              "validation fold, scored with --truth.")  # fmt: skip
@click.option("--truth", type=FILE, help="COCO file with that fold's annotations.")
@click.option("--score", "score_json", type=FILE,
              help="Instead of those two: what `submit score --json-out` wrote.")  # fmt: skip
@click.option("--leaderboard", type=float, help="What the server said, from 0 to 1.")
@click.option("--note", help="Words to remember it by.")
@click.option(
    "--per-day",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Submissions allowed a day.",
)
@click.option("--utc-offset", default=0.0, show_default=True,
              help="Hours by which the competition's day is ahead of UTC.")  # fmt: skip
@output_options
def log(
    submission: Path | None,
    ledger: Path,
    predictions: Path | None,
    truth: Path | None,
    score_json: Path | None,
    leaderboard: float | None,
    note: str | None,
    per_day: int,
    utc_offset: float,
) -> Result:
    """Enter a submission in the ledger, or without FILE only show it.

    Enter each file when you hand it in, and again with --leaderboard when its score is known. The
    ledger forecasts the leaderboard score of files that have none, names the two to select at the
    end, and counts the submissions left today.

    \b
    Examples:
      python -m submit log
      python -m submit log work/submission.csv --predictions work/ensemble/val.parquet \\
          --truth work/folds/val_3.json
      python -m submit log work/submission.csv --leaderboard 0.6153
    """
    from submit.ledger.entries import find_score, log_submission
    from submit.ledger.file import read_ledger
    from submit.ledger.text import ledger_summary, ledger_text

    about_file = (predictions, truth, score_json, leaderboard, note)
    if submission is None and any(value is not None for value in about_file):
        raise click.UsageError("these options are about a FILE to enter: name it")
    if (predictions is None) != (truth is None) or (predictions and score_json):
        raise click.UsageError("give --predictions with --truth, or --score alone")
    if submission is not None:
        log_submission(
            ledger,
            submission,
            score=find_score(predictions, truth, score_json),
            leaderboard_score=leaderboard,
            note=note,
        )
    summary = ledger_summary(read_ledger(ledger), per_day=per_day, utc_offset_hours=utc_offset)
    return Result(summary, ledger_text(summary))
