"""Command line of the experiments: list, run, compare, report."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError
from data_tools.ground.options.limits import LAST_SEED, MOST_ITEMS, MOST_SAMPLES
from data_tools.ground.options.output import Result, output_options
from data_tools.ground.paths import WorkPaths

WORK = click.option(
    "--work", type=click.Path(path_type=Path), default=Path("work"), show_default=True,
    help="Work root.",
)  # fmt: skip
DATA = click.option(
    "--data", type=click.Path(path_type=Path),
    help="Data root: train.json, test.json, images.  [default: what the work root belongs to]",
)  # fmt: skip


@click.group(cls=CommandGroup, no_args_is_help=True)
def main() -> None:
    """Controlled experiments, comparison of runs, and the HTML report.

    \b
    Examples:
      python -m experiments list
      python -m experiments report
    """


@main.command("list")
@WORK
@output_options
def list_command(work: Path) -> Result:
    """List the experiments that the kit brings and the runs on disk.

    \b
    Examples:
      python -m experiments list
      python -m experiments list --work work --json
    """
    from experiments.catalogue import listed_runs, shipped_experiments

    experiments, runs = shipped_experiments(), listed_runs(work)
    named = [
        {"name": each.name, "question": each.question, "arms": [arm.name for arm in each.arms]}
        for each in experiments
    ]
    lines = [
        f"{each.name:18} {each.question}  [{', '.join(arm.name for arm in each.arms)}]"
        for each in experiments
    ]
    if runs:
        lines.append(f"\n{'run':44} {'state':12} {'epochs':>8}  best competition mAP50")
    else:
        lines.append(f"\nNo runs under {WorkPaths(work).runs} yet.")
    for run in runs:
        score = "-" if run.score is None else f"{run.score:.4f}"
        leaked = "  LEAKED" if run.leaked else ""
        lines.append(f"{run.name:44} {run.state:12} {run.epochs:>8}  {score}{leaked}")
    return Result({"experiments": named, "runs": runs}, "\n".join(lines))


def _seeds(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    seeds = value.split(",")
    if not all(seed.strip().isdigit() for seed in seeds):
        raise click.BadParameter(f"{value!r} is not a list of seeds such as 42,43")
    return tuple(dict.fromkeys(int(seed) for seed in seeds))


@main.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--scale", type=click.Choice(["smoke", "full"]), help="Instead of the file's scale.")
@click.option("--seeds", callback=_seeds, help="Instead of the file's seeds: 42,43.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Train every arm for this long instead of for equal epochs.",
)
@click.option("--only", multiple=True, help="Train this arm only; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Check the arms and print the commands.")
@DATA
@WORK
@output_options
def run_command(
    file: Path,
    scale: str | None,
    seeds: tuple[int, ...] | None,
    minutes: float | None,
    only: tuple[str, ...],
    dry_run: bool,
    data: Path | None,
    work: Path,
) -> Result:  # fmt: skip
    """Train the arms of an experiment FILE that are missing.

    Refuses, before any training, an arm that differs from the base in more than one factor.
    Finished runs are left alone, unfinished ones resumed.

    \b
    Examples:
      python -m experiments run experiments/shipped/mosaic_smoke.yaml --dry-run
      python -m experiments run experiments/shipped/dcn.yaml --scale smoke --seeds 42,43 --dry-run
    """
    import shlex

    from data_tools.coco.workspace import data_root_of
    from experiments.plan.commands import train_command
    from experiments.plan.run_arms import run_experiment
    from experiments.plan.runs import Place, plan_runs
    from experiments.plan.spec import read_experiment

    place = Place(data or data_root_of(WorkPaths(work)), work)
    experiment = read_experiment(file, scale=scale, minutes=minutes)
    planned = plan_runs(experiment, place, seeds=seeds, only=only)
    runs = [
        {
            "name": each.name,
            "state": each.state,
            "command": shlex.join(["python", *train_command(each, place)[1:]]),
        }
        for each in planned
    ]
    value = {"experiment": experiment.name, "dry_run": dry_run, "runs": runs}
    if dry_run:
        lines = [f"{experiment.name}: each arm differs from the base in one factor."]
        for arm in experiment.arms:
            for factor, reason in arm.unavoidable.items():
                lines.append(f"! {arm.name} may also differ in {factor}: {reason}")
        for run in runs:
            lines += [f"# {run['name']}: {run['state']}", run["command"]]
        return Result(value, "\n".join(lines))
    outcomes = run_experiment(experiment, planned, place, say=click.echo)
    for run, outcome in zip(runs, outcomes, strict=True):
        run |= {"state": outcome.planned.state, "action": outcome.action}
    names = dict.fromkeys(f"{experiment.name}-{each.arm.name}" for each in planned)
    return Result(
        value, f"Done. Next: python -m experiments compare {' '.join(names)} --work {work}"
    )


@main.command("compare", renamed={"--json FILE": "--json-out FILE"})
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--samples",
    type=click.IntRange(100, MOST_SAMPLES),
    default=1000,
    show_default=True,
    help="Bootstrap samples over images.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LAST_SEED),
    default=0,
    show_default=True,
    help="Seed of the bootstrap.",
)
@click.option("--classes/--no-classes", default=True, help="Show the per-class rows.")
@WORK
@output_options
def compare_command(
    runs: tuple[str, ...],
    samples: int,
    seed: int,
    classes: bool,
    work: Path,
) -> Result:  # fmt: skip
    """Compare RUNS with the first of them: mean and intervals, factors, leaks.

    A run is a folder, or an experiment's name without `-seed42`, which means all its seeds.

    \b
    Examples:
      python -m experiments compare work/runs/tood_dcn/fold3 work/runs/yolox/fold3
      python -m experiments compare tood_dcn retinanet --no-classes --samples 200
    """
    from rich.console import Console

    from experiments.compare.arms_on_disk import find_group
    from experiments.compare.compare import compare_groups
    from experiments.compare.text import comparison_text

    if len(runs) < 2:
        raise UserError("one run is not a comparison", expected="two runs or more: A B...")
    groups = [find_group(name, work) for name in runs]
    comparisons = [
        compare_groups(groups[0], other, work, samples=samples, seed=seed) for other in groups[1:]
    ]

    def show() -> None:
        # A pipe has no width of its own: tables are not to be folded in a log file.
        console = Console(width=None if sys.stdout.isatty() else 200)
        for comparison in comparisons:
            console.print(comparison_text(comparison, per_class=classes))

    return Result(comparisons, text=show)


@main.command("report", renamed={"--images": "--pictures"})
@click.option("--out", type=click.Path(path_type=Path), help="[default: WORK/report.html]")
@click.option(
    "--fold",
    type=click.IntRange(max=MOST_ITEMS),
    help="Validation fold shown. [default: the fusion's]",
)
@click.option(
    "--pictures",
    type=click.IntRange(1, 60),
    default=24,
    show_default=True,
    help="Number of pictures in each box viewer.",
)
@click.option(
    "--samples",
    type=click.IntRange(100, MOST_SAMPLES),
    default=500,
    show_default=True,
    help="Bootstrap samples over images.",
)
@DATA
@WORK
@output_options
def report_command(
    out: Path | None, fold: int | None, pictures: int, samples: int, data: Path | None, work: Path
) -> Result:  # fmt: skip
    """Write one offline HTML file about everything under the work root.

    \b
    Examples:
      python -m experiments report
      python -m experiments report --work work --data data --out work/report.html
    """
    from data_tools.coco.workspace import data_root_of
    from experiments.report.write import ReportOptions, write_report

    path = out or WorkPaths(work).report_html
    data = data or data_root_of(WorkPaths(work))
    options = ReportOptions(data=data, work=work, fold=fold, image_count=pictures, samples=samples)
    summary = write_report(path, options)
    lines = [f"{path}: {summary.megabytes:.1f} MB. {summary.verdict}"]
    lines += [f"  {note}" for note in summary.notes]
    return Result({"out": path, **asdict(summary)}, "\n".join(lines))
