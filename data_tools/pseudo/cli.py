"""The command `data_tools pseudo`: parse, call one function, print one result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_tools.ground.command_line import Command, advance
from data_tools.ground.errors import UserError
from data_tools.ground.options.limits import MOST_ITEMS, MOST_ROUNDS
from data_tools.ground.options.output import Result, output_options
from data_tools.predictions.formats.options import read_format_options

if TYPE_CHECKING:
    from data_tools.pseudo.command import PseudoResult
    from data_tools.pseudo.duplicates import DuplicateReport

FilePath = click.Path(path_type=Path)


@click.command(
    cls=Command,
    renamed={
        "--force": "--allow-leak",
        "--folds": "--fold",
        "--min-boxes": "--min-per-image",
        "--max-boxes": "--max-per-image",
    },
)
@click.option("--train", type=FilePath, required=True, help="Plain training part of the fold.")
@click.option("--test", type=FilePath, required=True, help="Images to label (test.json).")
@click.option("--predictions", type=FilePath, required=True, help="Teachers' boxes on them.")
@click.option("--out", type=FilePath, required=True, help="File to write.")
@click.option("--val", type=FilePath, help="Validation part; else from split.json beside --train.")
@click.option("--threshold", type=float, help="Lowest score to keep.  [default: 0.5]")
@click.option(
    "--class-threshold",
    "class_thresholds",
    multiple=True,
    metavar="NAME=SCORE",
    help="Exception for one class; may be repeated.",
)
@click.option(
    "--target-precision",
    type=float,
    help="Choose thresholds per class for this precision on --oof and --truth.",
)
@click.option(
    "--match-density",
    is_flag=True,
    help="Choose the threshold that keeps as many boxes per image as training images have.",
)
@click.option("--oof", type=FilePath, help="Out-of-fold predictions (val.parquet).")
@click.option("--truth", type=FilePath, help="Truth of --oof (val_<k>.json).")
@click.option(
    "--min-per-image",
    type=click.IntRange(max=MOST_ITEMS),
    default=1,
    show_default=True,
    help="Leave out images with fewer.",
)
@click.option(
    "--max-per-image",
    type=click.IntRange(max=MOST_ITEMS),
    help="Keep only the surest boxes of an image.",
)
@click.option(
    "--weight",
    type=click.Choice(["one", "score"]),
    default="one",
    show_default=True,
    help="What a pseudo-label counts in the loss.",
)
@click.option(
    "--round",
    "round_number",
    type=click.IntRange(max=MOST_ROUNDS),
    default=1,
    show_default=True,
    help="Round of teaching.",
)
@click.option("--previous", type=FilePath, help="Pseudo-labels of the round before.")
@click.option("--fold", help="Several folds at once, as 0,1,2; paths then contain {fold}.")
@click.option("--data", "image_root", type=FilePath, help="Data root.  [default: beside --test]")
@click.option("--skip-duplicate-check", is_flag=True, help="Do not compare pictures.")
@read_format_options
@click.option("--allow-leak", is_flag=True, help="Accept teachers that leak; marked LEAKED.")
@output_options
def pseudo(**options: Any) -> Result:
    """Add confidently predicted test images to the training part of a fold.

    Refused when a teacher was trained on the fold's validation images. Test pictures that are
    training or validation pictures too are left out. Every added box carries its `score` and a
    `weight` for the loss; the file's `info` records teachers, hashes, thresholds and rounds.

    \b
    Examples:
      python -m data_tools pseudo --train work/folds/train_3.json --test data/test.json \\
        --predictions work/ensemble/test.parquet --match-density \\
        --out work/pseudo/round1/train_3.json
    """
    from data_tools.pseudo.build import PseudoRules
    from data_tools.pseudo.command import make_pseudo_sets
    from data_tools.pseudo.request import PseudoRequest, requests_of_folds

    rules = PseudoRules(
        options.pop("min_per_image"), options.pop("max_per_image"), options.pop("weight")
    )
    folds = _fold_numbers(options.pop("fold"))
    check_duplicates = not options.pop("skip_duplicate_check")
    class_thresholds = _class_thresholds(options.pop("class_thresholds"))
    request = PseudoRequest(
        **options,
        rules=rules,
        check_duplicates=check_duplicates,
        class_thresholds=class_thresholds,
    )
    requests = requests_of_folds(request, folds)
    with click.progressbar(length=1, label="Comparing pictures", file=sys.stderr) as bar:
        results = make_pseudo_sets(requests, advance(bar))
    return Result([summary(result) for result in results], "\n".join(map(describe, results)))


def _fold_numbers(text: str | None) -> list[int]:
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise UserError(f"--fold is {text!r}", expected="numbers with commas, such as 0,1,2,3,4")
    return [int(part) for part in parts]


def _class_thresholds(pairs: tuple[str, ...]) -> dict[str, float]:
    thresholds = {}
    for pair in pairs:
        name, _, value = pair.rpartition("=")
        try:
            thresholds[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise UserError(f"--class-threshold is {pair!r}", expected="NAME=SCORE")
    return thresholds


def summary(result: PseudoResult) -> dict[str, Any]:
    """Return the same as `describe`, for a program."""
    return {
        "out": result.request.out,
        "training_images": len(result.dataset.images) - result.counts.images,
        "added": result.counts,
        "thresholds": result.thresholds,
        "choice": result.choice,
        "duplicates": result.duplicates.as_dict(),
        "leaked": result.leaked,
    }


def describe(result: PseudoResult) -> str:
    """Return what was added and what was left out, for the terminal."""
    counts = result.counts
    classes = ", ".join(f"{name} {count}" for name, count in counts.boxes_per_class.items())
    finite = sorted({value for value in result.thresholds.values() if value is not None})
    limits = f"{finite[0]:.3f}" if len(finite) == 1 else f"{finite[0]:.3f} to {finite[-1]:.3f}"
    lines = [
        f"{result.request.out}: {counts.images} test images with {counts.boxes} boxes added "
        f"to {len(result.dataset.images) - counts.images} training images",
        f"  threshold: {limits} ({result.choice})",
        f"  boxes:     {classes}",
        f"  left out:  {counts.boxes_below_threshold} boxes below the threshold, "
        f"{counts.boxes_over_maximum} over --max-per-image, "
        f"{counts.boxes_without_area} without area; "
        f"{counts.images_with_too_few_boxes} images with too few boxes; "
        f"{counts.boxes_clipped} boxes clipped to their image",
        f"  pictures:  {_duplicates_line(result)}",
    ]
    lines += _broken_lines(result.duplicates)
    never = [name for name, value in result.thresholds.items() if value is None]
    if never:
        lines.append(f"  no threshold reaches the target precision for: {', '.join(never)}")
    if result.leaked:
        lines.append(f"  LEAKED: {'; '.join(result.leaked)}")
    return "\n".join(lines)


def _broken_lines(report: DuplicateReport) -> list[str]:
    texts = (
        (report.broken_tests, "test", "no labels come from them"),
        (report.broken_others, "training or validation", "nothing was compared with them"),
    )
    return [
        f"  warning:   {len(broken)} {kind} pictures do not decode and {outcome}, such as "
        f"{first} ({broken[first]}); python -m data_tools verify lists them"
        for broken, kind, outcome in texts
        if (first := next(iter(broken), None)) is not None
    ]


def _duplicates_line(result: PseudoResult) -> str:
    report = result.duplicates
    found = f"{len(report.test_file_names)} test images repeat a training or validation image"
    if not report.checked:
        return f"{found} by name; the pictures were not compared ({report.why_not})"
    if not report.pairs:
        return found
    first = " = ".join(report.pairs[0])
    return f"{found} and are left out, such as {first}"
