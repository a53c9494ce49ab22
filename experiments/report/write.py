"""Put the report together: gather, make the sections, render one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from data_tools.ground.errors import UserError
from data_tools.ground.files import write_text
from data_tools.ground.paths import WorkPaths
from data_tools.predictions.files import read_predictions
from experiments.report.gathered.gather import Material, gather
from experiments.report.gathered.history import (
    Change,
    PastBest,
    change_since,
    last_best,
    read_history,
    remember,
)
from experiments.report.gathered.records import file_records, kit_record, run_records
from experiments.report.page.figures import bar_figures, curve_figures
from experiments.report.page.render import render_page
from experiments.report.sections.confusion import confusion_section
from experiments.report.sections.error_split import error_figures
from experiments.report.sections.experiment_tables import experiment_sections
from experiments.report.sections.health import Part, annotated_part, health_section, predicted_part
from experiments.report.sections.pr_curves import pr_curves
from experiments.report.sections.verdict import headline, score_rows
from experiments.report.sections.viewer_images import viewer_section
from experiments.run_folder import Run

MAX_PAGE_BYTES = 19_500_000
# Tables, style and scripts: far below this even with a hundred runs.
MARKUP_BYTES = 1_000_000
# More curves than these cannot be told apart; the runs started last are drawn.
MAX_CURVES = 16


@dataclass(frozen=True)
class ReportOptions:
    """What to report on.

    Attributes:
        data, work: data and work roots.
        fold: validation fold; None takes that of the fusion, else that of most runs.
        image_count: pictures in each box viewer.
        samples: bootstrap samples over images.
    """

    data: Path
    work: Path
    fold: int | None = None
    image_count: int = 24
    samples: int = 500


@dataclass(frozen=True)
class Summary:
    """What the terminal says about a written report."""

    megabytes: float
    verdict: str
    notes: tuple[str, ...]


def write_report(path: Path, options: ReportOptions) -> Summary:
    """Write the report as one HTML file, whole or not at all.

    Parts that do not exist yet are named in the page; nothing is fetched from anywhere.
    """
    material = gather(options.work, options.data, options.fold)
    notes = list(material.notes)
    history = _history(material, notes)
    change = _change(material, history or (), options.samples, notes)
    top = headline(material, change, options.samples)
    experiments = experiment_sections(
        material.runs, options.work, samples=options.samples, notes=notes
    )
    data = _page_data(material, options, notes)
    page = render_page(
        headline=top,
        change=change,
        scores=score_rows(material),
        experiments=experiments,
        data=data,
        runs=run_records(material),
        files=file_records(material.scored),
        kit=kit_record(material),
        notes=notes,
    )
    write_text(path, page)
    # A damaged history is not written over: it may hold what the user can still save.
    if material.best is not None and material.truth is not None and history is not None:
        remember(WorkPaths(options.work), history, material.best, material.truth)
    return Summary(path.stat().st_size / 1e6, top.line, tuple(notes))


def _history(material: Material, notes: list[str]) -> tuple[PastBest, ...] | None:
    """Return the earlier bests; None, and a note, where they cannot be read."""
    try:
        return read_history(WorkPaths(material.work))
    except UserError as error:
        notes.append(f"earlier bests are left out: {error.where}: {error.what}")
        return None


def _change(
    material: Material, history: Sequence[PastBest], samples: int, notes: list[str]
) -> Change | None:
    best, truth = material.best, material.truth
    if best is None or truth is None:
        return None
    entry = last_best(history, best, truth)
    if entry is None:
        return None
    try:
        return change_since(entry, WorkPaths(material.work), best, truth, samples)
    except UserError as error:
        notes.append(f"the last best is left out: {error.where}: {error.what}")
        return None


def _page_data(material: Material, options: ReportOptions, notes: list[str]) -> dict[str, Any]:
    """Everything that the page's script draws."""
    runs = _runs_to_draw(material, notes)
    data: dict[str, Any] = dict.fromkeys(("pr", "confusion", "viewers", "best"))
    colour_of = {scored.name: index for index, scored in enumerate(material.scored)}
    data["figures"] = {"curves": curve_figures(runs, colour_of), "errors": []}
    data["figures"]["bars"] = bar_figures(material.scored)
    data["health"] = _health(material)
    data["figures"]["health"] = data["health"]["figures"] if data["health"] else []
    best, truth = material.best, material.truth
    if best is None or truth is None:
        return data
    threshold = best.best_f1_threshold
    data["classes"] = list(truth.category_names)
    data["best"] = best.name
    data["threshold"] = round(threshold, 2)
    data["pr"] = pr_curves(material.scored)
    data["confusion"] = confusion_section(best, truth, threshold, material.data_root)
    data["figures"]["errors"] = error_figures(material.scored, truth)
    data["viewers"], data["pictures"] = viewer_section(
        material, best, truth, options.image_count, threshold, _room_for_pictures(data), notes
    )
    return data


def _runs_to_draw(material: Material, notes: list[str]) -> list[Run]:
    runs = [run for run in material.runs if run.fold == material.fold]
    if len(runs) <= MAX_CURVES:
        return runs
    notes.append(f"curves of the {MAX_CURVES} runs started last, of {len(runs)}")
    newest = sorted(runs, key=lambda run: str(run.info.get("started") or ""))[-MAX_CURVES:]
    return [run for run in runs if run in newest]


def _room_for_pictures(data: dict[str, Any]) -> int:
    taken = len(get_plotlyjs()) + len(json.dumps(data)) + MARKUP_BYTES
    return max(0, MAX_PAGE_BYTES - taken)


def _health(material: Material) -> dict[str, Any] | None:
    if material.train is None or material.truth is None:
        return None
    parts = [annotated_part("train", material.train), annotated_part("valid", material.truth)]
    test = _predicted_test(material)
    return health_section([*parts, *([test] if test else [])], material.truth)


def _predicted_test(material: Material) -> Part | None:
    path = WorkPaths(material.work).fused("test")
    if material.test is None or material.fusion is None or not path.is_file():
        return None
    try:
        predictions = read_predictions(path, material.test)
    except UserError:
        return None
    threshold = material.fusion.best_f1_threshold
    return predicted_part("test (predicted)", material.test, predictions, threshold)
