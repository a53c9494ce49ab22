"""Command line of `submit`: write a submission, check it, score it, keep the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError
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
) -> None:
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
    click.echo(write_text(out, report))


@main.command()
@click.argument("submission", metavar="FILE", type=FILE)
@click.option("--images", type=FILE, required=True, help="COCO file of the images, test.json.")
@click.option("--format", "format_name",
              help="Name from `submit formats`.  [default: aistages]")  # fmt: skip
@FORMAT_FILE
@click.option("--against", type=FILE, help="An earlier submission to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(
    submission: Path,
    images: Path,
    format_name: str | None,
    format_file: Path | None,
    against: Path | None,
    as_json: bool,
) -> None:
    """Check a submission before it is handed in; errors end with status 2.

    \b
    Examples:
      python -m submit check work/submission.csv --images data/test.json
      python -m submit check work/submission.csv --images data/test.json --json
      python -m submit check work/submission.csv --images data/test.json \\
          --against work/submission.csv
    """
    from submit.checks.preflight import check_file, unreadable
    from submit.checks.text import check_text, json_text

    try:
        result = check_file(submission, images, format_name=format_name, format_file=format_file)
    except UserError as error:
        if not as_json:
            raise
        result, against = unreadable(submission, format_name, error), None
    difference = None
    if against is not None and result.errors:
        difference = {"against": str(against), "not_compared": "the file has errors"}
    elif against is not None:
        from submit.scores.changes import compare_files

        difference = compare_files(
            against, submission, images, format_name=format_name, format_file=format_file
        )
    if as_json:
        click.echo(json_text({**result.as_dict(), "against": difference}))
    else:
        click.echo(check_text(result, difference))
    if result.errors:
        raise SystemExit(2)


@main.command()
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--loss", default=0.001, show_default=True, help="mAP50 that may be given up.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def plan(predictions_file: Path, truth: Path, loss: float, as_json: bool) -> None:
    """Find the smallest submission within a loss of mAP50, on the validation fold.

    Also warns when the score floor or the cap per image that FILE was made with seems to cost
    recall.

    \b
    Examples:
      python -m submit plan work/ensemble/val.parquet --truth work/folds/val_3.json
      python -m submit plan work/ensemble/val.parquet --truth work/folds/val_3.json --loss 0.002
    """
    from submit.checks.text import json_text
    from submit.plan import plan_file, plan_text

    result = plan_file(predictions_file, truth, loss=loss)
    click.echo(json_text(result) if as_json else plan_text(result))


@main.command()
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--score-threshold", default=0.3, show_default=True,
              help="Lowest score in the confusion matrix.")  # fmt: skip
@click.option("--json", "json_file", type=FILE, help="Also write everything to this file.")
def diagnose(
    predictions_file: Path, truth: Path, score_threshold: float, json_file: Path | None
) -> None:
    """Show where points are lost: kinds of error, confusions, thresholds, calibration.

    \b
    Examples:
      python -m submit diagnose work/ensemble/val.parquet --truth work/folds/val_3.json
    """
    from submit.scores.diagnosis_text import diagnosis_text
    from submit.scores.of_file import diagnose_file

    result = diagnose_file(
        predictions_file, truth, score_threshold=score_threshold, json_file=json_file
    )
    click.echo(diagnosis_text(result))


@main.command()
@FORMAT_FILE
def formats(format_file: Path | None) -> None:
    """List the submission formats.

    \b
    Examples:
      python -m submit formats
    """
    from submit.formats.catalogue import load_formats

    for name, entry in load_formats(format_file).items():
        click.echo(f"{name:<18} {entry.description}")


@main.command()
@click.argument("predictions_file", metavar="FILE", type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
@click.option("--json", "json_file", type=FILE, help="Also write all figures to this file.")
@click.option(
    "--bootstrap",
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
def score(
    predictions_file: Path,
    truth: Path,
    json_file: Path | None,
    bootstrap: int,
    seed: int,
    format_name: str | None,
    format_file: Path | None,
    disagree: bool,
) -> None:
    """Score predictions or a submission against the truth, with both metrics.

    \b
    Examples:
      python -m submit score work/ensemble/val.parquet --truth work/folds/val_3.json
      python -m submit score work/runs/yolox/fold3/predictions/val.parquet \\
          --truth work/folds/val_3.json --json work/yolox_score.json
      python -m submit score work/ensemble/val.parquet --truth work/folds/val_3.json --disagree
    """
    from submit.scores.of_file import score_file
    from submit.scores.score_text import score_text

    result = score_file(
        predictions_file,
        truth,
        bootstrap_samples=bootstrap,
        seed=seed,
        json_file=json_file,
        format_name=format_name,
        format_file=format_file,
        disagree=disagree,
    )
    click.echo(score_text(result))


@main.command()
@click.argument("predictions_files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--truth", type=FILE, required=True, help="COCO file with the annotations.")
def table(predictions_files: tuple[Path, ...], truth: Path) -> None:
    """Score several files against one truth, side by side: members and their fusion.

    \b
    Examples:
      python -m submit table work/runs/yolox/fold3/predictions/val.parquet \\
          work/ensemble/val.parquet --truth work/folds/val_3.json
    """
    from submit.scores.table import score_table, table_text

    click.echo(table_text(score_table(predictions_files, truth)))


@main.command()
@click.argument("submission", metavar="[FILE]", required=False, type=FILE)
@click.option("--ledger", type=FILE, default=WorkPaths(Path("work")).ledger_csv, show_default=True,
              help="The ledger.")  # fmt: skip
@click.option("--validation", type=FILE, help="The same members' prediction file of the "
              "validation fold, scored with --truth.")  # fmt: skip
@click.option("--truth", type=FILE, help="COCO file with that fold's annotations.")
@click.option("--score", "score_json", type=FILE,
              help="Instead of those two: what `submit score --json` wrote.")  # fmt: skip
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
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
def log(
    submission: Path | None,
    ledger: Path,
    validation: Path | None,
    truth: Path | None,
    score_json: Path | None,
    leaderboard: float | None,
    note: str | None,
    per_day: int,
    utc_offset: float,
    as_json: bool,
) -> None:
    """Enter a submission in the ledger, or without FILE only show it.

    Enter each file when you hand it in, and again with --leaderboard when its score is known. The
    ledger forecasts the leaderboard score of files that have none, names the two to select at the
    end, and counts the submissions left today.

    \b
    Examples:
      python -m submit log
      python -m submit log work/submission.csv --validation work/ensemble/val.parquet \\
          --truth work/folds/val_3.json
      python -m submit log work/submission.csv --leaderboard 0.6153
    """
    from submit.checks.text import json_text
    from submit.ledger.entries import find_score, log_submission
    from submit.ledger.file import read_ledger
    from submit.ledger.text import ledger_summary, ledger_text

    about_file = (validation, truth, score_json, leaderboard, note)
    if submission is None and any(value is not None for value in about_file):
        raise click.UsageError("these options are about a FILE to enter: name it")
    if (validation is None) != (truth is None) or (validation and score_json):
        raise click.UsageError("give --validation with --truth, or --score alone")
    if submission is not None:
        log_submission(
            ledger,
            submission,
            score=find_score(validation, truth, score_json),
            leaderboard_score=leaderboard,
            note=note,
        )
    summary = ledger_summary(read_ledger(ledger), per_day=per_day, utc_offset_hours=utc_offset)
    click.echo(json_text(summary) if as_json else ledger_text(summary))
