"""Plotly figures as plain data; the page gives them its colours, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from experiments.report.gathered.gather import ScoredPredictions
from experiments.run_folder import Run
from scoring.uncertainty.bootstrap import PER_CLASS

MAX_POINTS = 400
SIZES = (("map_small", "small"), ("map_medium", "medium"), ("map_large", "large"))


def curve_figures(
    runs: Sequence[Run], colour_of: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """Return the figures of loss, learning rate and validation score over epochs.

    Args:
        runs: one curve each.
        colour_of: run name -> colour that it has elsewhere on the page; others follow after these.
    """
    colours = _colours([run.name for run in runs], colour_of or {})
    lines = list(zip(_short_names(runs), runs, colours, strict=True))
    per_step = [
        ("Training loss", "loss", "loss"),
        ("Learning rate", "learning rate", "lr"),
    ]
    figures = []
    for title, axis, key in per_step:
        traces = [
            _line(name, _step_epochs(run), [s.get(key) for s in run.steps], colour)
            for name, run, colour in lines
            if run.steps
        ]
        figures.append(_figure(title, traces, "epoch", axis))
    for title, axis, key in (
        ("Validation, competition mAP50", "mAP50", "competition_map50"),
        ("Validation, COCO mAP", "mAP", "map"),
    ):
        traces = [
            _line(
                name,
                [line["epoch"] for line in run.epochs],
                [line["val"].get(key) for line in run.epochs],
                colour,
                mode="lines+markers",
            )
            for name, run, colour in lines
            if run.epochs
        ]
        figures.append(_figure(title, traces, "epoch", axis))
    return [figure for figure in figures if figure["data"]]


def bar_figures(scored: Sequence[ScoredPredictions]) -> list[dict[str, Any]]:
    """Return the bars of AP by class and by box size, one colour per prediction file."""
    if not scored:
        return []
    classes = [name for name in scored[0].scorer.names if name.startswith(PER_CLASS)]
    labels = [name.split("/", 1)[1] for name in classes]
    by_class = [
        _bars(each.name, labels, [each.values[name] for name in classes], index)
        for index, each in enumerate(scored)
    ]
    by_size = [
        _bars(each.name, [n for _, n in SIZES], [each.values[key] for key, _ in SIZES], index)
        for index, each in enumerate(scored)
    ]
    return [
        _figure("AP at IoU .5 by class (competition's metric)", by_class, "", "AP50"),
        _figure("COCO mAP by box size", by_size, "", "mAP"),
    ]


def _colours(names: Sequence[str], known: Mapping[str, int]) -> list[int]:
    free = count(max(known.values(), default=-1) + 1)
    return [known[name] if name in known else next(free) for name in names]


def _short_names(runs: Sequence[Run]) -> list[str]:
    """Leave the fold out of the names where all runs are of the same one."""
    one_fold = len({run.paths.root.name for run in runs}) == 1
    return [run.experiment if one_fold else run.name for run in runs]


def _step_epochs(run: Run) -> list[float]:
    """Fractional epoch of each logged step, so that runs of other batch sizes line up."""
    if run.epochs and run.epochs[0].get("step"):
        per_epoch = run.epochs[0]["step"] / run.epochs[0]["epoch"]
    else:
        first = [step["step"] for step in run.steps if step["epoch"] == run.steps[0]["epoch"]]
        per_epoch = max(first)
    return [round(step["step"] / per_epoch, 4) for step in run.steps]


def _line(
    name: str, x: Sequence[float], y: Sequence[float | None], index: int, mode: str = "lines"
) -> dict[str, Any]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).astype(int))
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": [x[i] for i in kept],
        "y": [_rounded(y[i]) for i in kept],
        "colour": index,
    }


def _bars(name: str, x: Sequence[str], y: Sequence[float], index: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "x": list(x),
        "y": [_rounded(value) for value in y],
        "colour": index,
    }


def _figure(title: str, traces: list[dict[str, Any]], x_axis: str, y_axis: str) -> dict[str, Any]:
    return {
        "title": title,
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": x_axis}},
            "yaxis": {"title": {"text": y_axis}, "rangemode": "tozero"},
        },
    }


def _rounded(value: float | None) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.5g}")
