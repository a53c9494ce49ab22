"""Commands about the file to hand in: write, check, formats."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from data_tools.ground.command_line import Command
from data_tools.ground.errors import UserError
from data_tools.ground.options.limits import MOST_ITEMS
from data_tools.ground.options.output import Result, output_options
from data_tools.predictions.formats.options import FORMAT_FILE
from submit.commands.options import FILE


@click.command(cls=Command)
@click.argument("predictions_file", metavar="PRED", type=FILE)
@click.option("--images", type=FILE, required=True, help="COCO file of the images, test.json.")
@click.option("--out", type=FILE, required=True, help="The submission to write.")
@click.option("--format", "format_name",
              help="Name from `submit formats`.  [default: aistages]")  # fmt: skip
@FORMAT_FILE
@click.option("--score-floor", default=0.0, show_default=True, help="Leave out boxes below it.")
@click.option(
    "--max-per-image", type=click.IntRange(1, MOST_ITEMS), help="Keep only the best so many."
)
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

    Every image is written, in the order of the COCO file; boxes are written in descending order of
    score and cut to the image.

    \b
    Examples:
      python -m submit write work/ensemble/test.parquet --images data/test.json \\
          --out work/submission.csv
      python -m submit write work/ensemble/test.parquet --images data/test.json \\
          --out work/submission_kaggle.csv --format kaggle
    """
    from submit.trimming import Trim
    from submit.write import write_submission, written_text

    report = write_submission(
        predictions_file,
        images,
        out,
        format_name=format_name,
        format_file=format_file,
        trim=Trim(score_floor, max_per_image, score_digits, coordinate_digits),
    )
    return Result({"out": out, **asdict(report)}, written_text(out, report))


@click.command(cls=Command)
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
        from data_tools.predictions.formats.catalogue import find_format
        from submit.scores.changes import compare_files

        chosen = find_format(format_name, format_file)
        difference = compare_files(against, submission, images, submission_format=chosen)
    return Result(
        {**result.as_dict(), "against": difference},
        check_text(result, difference),
        exit_status=2 if result.errors else 0,
    )


@click.command(cls=Command)
@FORMAT_FILE
@output_options
def formats(format_file: Path | None) -> Result:
    """List the submission formats.

    \b
    Examples:
      python -m submit formats
    """
    from data_tools.predictions.formats.catalogue import load_formats

    found = {name: entry.description for name, entry in load_formats(format_file).items()}
    return Result(found, "\n".join(f"{name:<18} {about}" for name, about in found.items()))


def _raise(error: UserError) -> None:
    raise error
