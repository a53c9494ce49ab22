"""Command line of the fusion engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from data_tools.ground.command_line import Command, CommandGroup
from data_tools.ground.declared.checking import checked
from data_tools.ground.errors import UserError
from data_tools.ground.files import refuse_overwriting
from data_tools.ground.options.limits import LAST_SEED, MOST_PROCESSES, MOST_ROUNDS
from data_tools.ground.options.output import Result, output_options
from data_tools.predictions.formats.options import read_format_options
from ensemble.settings import (
    CONFIDENCE_TYPES,
    DECAYS,
    METHODS,
    FusionRequest,
    FusionSettings,
    SettingsFile,
    Share,
    read_settings,
    settings_from_dict,
)

DEFAULT = FusionSettings()
METHOD_HELP = (
    "How overlapping boxes of one class become one: wbf averages them by weighted score; nms keeps "
    "the best; soft_nms keeps all and lowers the scores of the weaker; nmw averages them by score "
    f"and overlap with the best. [default: {DEFAULT.method}]"
)
CONFIDENCE_HELP = (
    "WBF: the score of a fused box. avg: the mean, lowered where members found nothing; max: the "
    "best; box_and_model_avg: the mean, times the share of the members' weight that found it; "
    "absent_model_aware_avg: the mean, with 0 for members that did not. "
    f"[default: {DEFAULT.confidence}]"
)
FORMER_FUSION_OPTIONS = {"--iou-class": "--class-iou"}


def fusion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to fuse; those not given stay out of the keyword arguments."""
    options = [
        click.option(
            "--settings",
            "settings_file",
            help="JSON file that `tune` wrote; options given override it.",
        ),
        click.option("--method", type=click.Choice(METHODS), help=METHOD_HELP),
        click.option(
            "--iou", type=float, help=f"Overlap above which boxes match. [default: {DEFAULT.iou}]"
        ),
        click.option(
            "--class-iou", multiple=True, metavar="CLASS=IOU", help="For one class (name or id)."
        ),
        click.option(
            "--skip", type=float, help=f"Leave lower scores out. [default: {DEFAULT.skip:g}]"
        ),
        click.option(
            "--weights", help="A number above 0 for each member, such as 2,1,1. [default: all 1]"
        ),
        click.option(
            "--view-weights", help="For test-time views within a member: plain=2,hflip=1."
        ),
        click.option(
            "--conf-type",
            type=click.Choice(CONFIDENCE_TYPES),
            help=CONFIDENCE_HELP,
        ),
        click.option(
            "--allows-overflow",
            is_flag=True,
            default=None,
            help="With --conf-type avg: let a group with more boxes than members score higher.",
        ),
        click.option(
            "--decay",
            type=click.Choice(DECAYS),
            help=f"Soft-NMS: how overlap lowers a score. [default: {DEFAULT.decay}]",
        ),
        click.option(
            "--sigma",
            type=float,
            help="Soft-NMS, gaussian: the larger, the less scores drop. "
            f"[default: {DEFAULT.sigma}]",
        ),
        click.option(
            "--score-floor",
            type=float,
            help="Soft-NMS: drop boxes whose score has sunk to this or below. "
            f"[default: {DEFAULT.score_floor}]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


class ManyMembers(Command):
    """A command whose `--members` takes all words up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat `--members` before every word that belongs to it."""
        spread, collecting = [], False
        for word in args:
            if word.startswith("-"):
                collecting = word == "--members"
                spread += [] if collecting else [word]
            else:
                spread += ["--members", word] if collecting else [word]
        return super().parse_args(ctx, spread)


@click.group(cls=CommandGroup)
def main() -> None:
    """Fuse the predictions of several models into one file."""


@main.command(renamed=FORMER_FUSION_OPTIONS)
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
@click.option("--images", required=True, help="COCO file of the images that were predicted.")
@click.option("--out", required=True, help="Prediction file to write (.parquet).")
@fusion_options
@click.option("--allow-missing", is_flag=True, help="Count images that a member misses as empty.")
@read_format_options
@click.option("--sources/--no-sources", default=True, help="Write OUT.sources.parquet beside it.")
@click.option("--explain", metavar="IMAGE", help="Print one image's clusters (file name or id).")
@click.option("--picture", metavar="FILE", help="With --explain: draw before and after.")
@click.option(
    "--data",
    help="With --picture: the images' root.  [default: of the dataset that OUT's work root is of]",
)
@click.option("--threads", type=click.IntRange(1, MOST_PROCESSES), help="[default: one per core]")
@output_options
def fuse(members: tuple[str, ...], images: str, out: str, **options: Any) -> Result:
    """Fuse prediction files, submission CSVs, COCO results, globs or run folders.

    A member without boxes on an image still counts there. A member with several test-time views
    counts once: its views share its weight.

    \b
    Examples:
      python -m ensemble fuse work/runs/*/fold3/predictions/val.parquet \\
        --images work/folds/val_3.json --out work/tried/val.parquet
      python -m ensemble fuse work/runs/tood_dcn/fold3 work/runs/yolox/fold3 \\
        --images data/test.json --out work/tried/test.parquet --weights 2,1 --iou 0.55
      python -m ensemble fuse work/runs/tood_dcn/fold3 work/runs/yolox/fold3 \\
        --images data/test.json --out work/tried/test.parquet --explain 0000.jpg \\
        --picture work/tried/0000.png
    """
    from ensemble.commands import run_fuse

    if options["picture"] and not options["explain"]:
        raise click.UsageError("--picture needs --explain IMAGE")
    refuse_overwriting([out], [options["settings_file"]])
    request = _take_fusion_options(options)
    _take_format(options)
    return run_fuse(members, images, out, request, **options)


@main.command(renamed={**FORMER_FUSION_OPTIONS, "--force-leaked": "--allow-leak"})
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
@click.option("--truth", required=True, help="COCO file with the validation truth.")
@click.option("--out", required=True, help="JSON file to write, for `fuse --settings`.")
@fusion_options
@click.option("--trials", type=click.IntRange(1, MOST_ROUNDS), default=60, show_default=True,
              help="Settings to try.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, LAST_SEED), default=0, show_default=True,
              help="Random seed of the search.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Count images that a member misses as empty.")
@read_format_options
@click.option("--allow-leak", is_flag=True, help="Tune though members have seen the images.")
@output_options
def tune(members: tuple[str, ...], truth: str, out: str, **options: Any) -> Result:
    """Search IoU threshold, skip threshold, confidence type and weights on validation truth.

    \b
    Examples:
      python -m ensemble tune work/runs/tood_dcn/fold3 work/runs/yolox/fold3 \\
        --truth work/folds/val_3.json --out work/ensemble/settings.json --trials 10
      python -m ensemble tune work/runs/*/fold3/predictions/val.parquet \\
        --truth work/folds/val_3.json --out work/ensemble/settings.json --trials 10 --seed 1
    """
    from ensemble.commands import run_tune

    refuse_overwriting([out], [options["settings_file"]])
    request = _take_fusion_options(options)
    _take_format(options)
    return run_tune(members, truth, out, request, **options)


@main.command(cls=ManyMembers, renamed={**FORMER_FUSION_OPTIONS, "--json FILE": "--json-out FILE"})
@click.argument("old", nargs=-1, metavar="OLD...")
@click.option("--members", multiple=True, required=True, help="The members that were fused.")
@click.option("--images", help="COCO file of the images; not needed with --truth.")
@click.option("--truth", help="COCO file with truth: also say what the mistake costs.")
@fusion_options
@click.option("--allow-missing", is_flag=True, help="Count images that a member misses as empty.")
@read_format_options
@output_options
def audit(old: tuple[str, ...], members: tuple[str, ...], **options: Any) -> Result:
    """Replay the mistake of leaving members without boxes out, and look for it in OLD files.

    \b
    Examples:
      python -m ensemble audit work/submission.csv --images data/test.json \\
        --members work/runs/tood_dcn/fold3 work/runs/yolox/fold3
      python -m ensemble audit --truth work/folds/val_3.json \\
        --members work/runs/*/fold3/predictions/val.parquet
    """
    from ensemble.commands import run_audit

    if not (options["images"] or options["truth"]):
        raise click.UsageError("give --images or --truth: the images that were predicted")
    request = _take_fusion_options(options)
    _take_format(options)
    return run_audit(old, members, request, **options)


def _take_format(options: dict[str, Any]) -> None:
    """Put the format in the place of the two options that name it."""
    from data_tools.predictions.formats.read import chosen_format

    names = options.pop("format_name"), options.pop("format_file")
    options["submission_format"] = chosen_format(*names)


def _take_fusion_options(options: dict[str, Any]) -> FusionRequest:
    """Take the fusion options out of `options`; those given override the settings file."""
    file = options.pop("settings_file")
    given = {
        "weights": _numbers(options.pop("weights")),
        "view_weights": _named_numbers(
            "--view-weights", (options.pop("view_weights") or "").split(",")
        ),
        "confidence": options.pop("conf_type"),
    }
    for name in ("method", "iou", "skip", "allows_overflow", "decay", "sigma", "score_floor"):
        given[name] = options.pop(name)
    tuned = read_settings(file) if file else SettingsFile(FusionSettings())
    given = {key: value for key, value in given.items() if value not in (None, {})}
    iou_of_name = _named_numbers("--class-iou", options.pop("class_iou"))
    return FusionRequest(
        settings=settings_from_dict({**tuned.settings.as_dict(), **given}, where="the options"),
        iou_of_class_name=checked(iou_of_name, dict[str, Share], key="--class-iou"),
        weights_are_of=() if "weights" in given else tuned.members,
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


def _named_numbers(option: str, pairs: Any) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for pair in pairs:
        name, _, number = pair.rpartition("=")
        try:
            numbers |= {name.strip(): float(number)} if pair else {}
        except ValueError:
            name = ""
        if pair and not name.strip():
            example = "Battery=0.5" if option == "--class-iou" else "plain=2"
            raise UserError(f"{option} is {pair!r}", expected=f"NAME=NUMBER, such as {example}")
    return numbers
