"""The command about submissions that were handed in: log."""

from __future__ import annotations

from pathlib import Path

import click

from data_tools.ground.command_line import Command
from data_tools.ground.options.limits import MOST_ROUNDS
from data_tools.ground.options.output import Result, output_options
from data_tools.ground.paths import WorkPaths
from data_tools.predictions.formats.options import read_format_options
from submit.commands.options import FILE


@click.command(cls=Command, renamed={"--validation": "--predictions"})
@click.argument("submission", metavar="[FILE]", required=False, type=FILE)
@click.option("--ledger", type=FILE, default=WorkPaths(Path("work")).ledger_csv, show_default=True,
              help="The ledger.")  # fmt: skip
@click.option("--predictions", type=FILE, help="The same members' prediction file of the "
              "validation fold, scored with --truth.")  # fmt: skip
@read_format_options
@click.option("--truth", type=FILE, help="COCO file with that fold's annotations.")
@click.option("--score", "score_json", type=FILE,
              help="Instead of those two: what `submit score --json-out` wrote.")  # fmt: skip
@click.option("--leaderboard", type=float, help="What the server said, from 0 to 1.")
@click.option("--note", help="Words to remember it by.")
@click.option(
    "--per-day",
    type=click.IntRange(1, MOST_ROUNDS),
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
    format_name: str | None,
    format_file: Path | None,
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
    from data_tools.predictions.formats.read import reading_format
    from submit.ledger.entries import log_submission, zone_of
    from submit.ledger.file import read_ledger
    from submit.ledger.score_file import find_score
    from submit.ledger.text import ledger_summary, ledger_text

    about_file = (predictions, truth, score_json, leaderboard, note, format_name, format_file)
    if submission is None and any(value is not None for value in about_file):
        raise click.UsageError("these options are about a FILE to enter: name it")
    if (predictions is None) != (truth is None) or (predictions and score_json):
        raise click.UsageError("give --predictions with --truth, or --score alone")
    if (format_name or format_file) and not predictions:
        raise click.UsageError("--format is about the file of --predictions: give both")
    zone_of(utc_offset)  # before anything is entered: a mistake leaves the ledger alone
    if submission is not None:
        log_submission(
            ledger,
            submission,
            score=find_score(
                predictions,
                truth,
                score_json,
                reading_format(format_name, format_file, [predictions] if predictions else []),
            ),
            leaderboard_score=leaderboard,
            note=note,
        )
    summary = ledger_summary(read_ledger(ledger), per_day=per_day, utc_offset_hours=utc_offset)
    return Result(summary, ledger_text(summary))
