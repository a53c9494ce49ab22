"""What each test-time view gains on a run's validation fold, and what it costs.

    python -m benchmarks.tta --run work/runs/tood_dcn/fold3 [--tta VIEW ...] [--quick]

Every view is scored alone and fused with the plain one by WBF (the views of one model as members
of equal weight). Cost is the time of the view's pass over the images; all from one run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console

from benchmarks.machine import machine_line
from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.command_line import CommandGroup
from data_tools.ground.paths import RunPaths
from data_tools.predictions.table import Predictions
from ensemble.fuse import fuse_members
from ensemble.members import Member
from ensemble.settings import FusionSettings
from models.engine.runs.folder import read_run
from models.predict import PredictedFile, PredictRequest, predict, validation_file
from scoring.score import score

VIEWS = ("hflip", "vflip", "rot90", "rot180", "rot270", "scale0.8", "scale1.25")
KEYS = ("competition_map50", "map", "map_small", "map_medium", "map_large")


def one_view(predictions: Predictions, number: int) -> Predictions:
    """Return the boxes of one view as predictions of their own."""
    rows = predictions.filtered(predictions.views == number)
    name = predictions.provenance.views[number]
    return Predictions(
        image_ids=rows.image_ids,
        offsets=rows.offsets,
        labels=rows.labels,
        scores=rows.scores,
        boxes_xyxy=rows.boxes_xyxy,
        provenance=replace(predictions.provenance, run=name, views=("plain",)),
    )


def fused(views: list[Predictions], truth: CocoDataset) -> Predictions:
    """Return the WBF of several views, each a member of equal weight."""
    members = [Member(view.provenance.run or "", view) for view in views]
    return fuse_members(members, truth, FusionSettings()).predictions


def table_rows(result: PredictedFile, truth: CocoDataset) -> list[dict[str, Any]]:
    """Return one row per view and one for all views together."""
    names = result.predictions.provenance.views
    views = [one_view(result.predictions, number) for number in range(len(names))]
    plain_seconds = result.seconds_of_view[names[0]]
    rows = []
    for name, view in zip(names, views, strict=True):
        together = view if name == names[0] else fused([views[0], view], truth)
        cost = result.seconds_of_view[name] / plain_seconds
        rows.append({"view": name, "alone": score(view, truth), "cost": cost,
                     "with_plain": score(together, truth)})  # fmt: skip
    everything = score(fused(views, truth), truth)
    total = sum(result.seconds_of_view.values()) / plain_seconds
    rows.append({"view": "all", "alone": everything, "with_plain": everything, "cost": total})
    return rows


def markdown(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table; gains are over the plain view."""
    plain = rows[0]["alone"]
    lines = [
        "| view | alone mAP50* | fused with plain mAP50* | gain | gain mAP | small | medium "
        "| large | cost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gains = [_difference(row["with_plain"][key], plain[key]) for key in KEYS]
        lines.append(
            f"| {row['view']} | {row['alone']['competition_map50']:.4f} "
            f"| {row['with_plain']['competition_map50']:.4f} | {' | '.join(gains)} "
            f"| {row['cost']:.2f} |"
        )
    return lines


def _difference(value: float | None, base: float | None) -> str:
    return "-" if value is None or base is None else f"{value - base:+.4f}"


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--run", type=click.Path(path_type=Path), default="work/runs/tood_dcn/fold3",
              show_default=True, help="Run folder of a finished run.")  # fmt: skip
@click.option("--tta", "views", multiple=True, metavar="VIEW", help="Default: seven views.")
@click.option("--quick", is_flag=True, help="Only hflip.")
@click.option("--device", default="auto", show_default=True)
def main(run: Path, views: tuple[str, ...], quick: bool, device: str) -> None:
    """Print gain and cost of each view."""
    chosen = ("hflip",) if quick else views or VIEWS
    with TemporaryDirectory() as folder:
        request = PredictRequest(
            run, "val", views=chosen, out=Path(folder) / "val.parquet", device=device
        )
        # The first pass of a process also pays for starting up: it is not the plain view's cost.
        predict(replace(request, views=()), Console(stderr=True))
        result = predict(request, Console(stderr=True))
    truth = read_coco(validation_file(run, read_run(RunPaths(run))))
    print(machine_line())
    print(f"{run}, {len(truth.images)} validation images; mAP50*: the competition's metric")
    print("\n".join(markdown(table_rows(result, truth))))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.tta")
