"""Put the report together: gather, make the sections, render one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools.files import write_text
from data_tools.paths import WorkPaths
from experiments.report.confusion import confusion_section
from experiments.report.error_split import error_figures
from experiments.report.experiment_tables import experiment_sections
from experiments.report.figures import bar_figures, curve_figures
from experiments.report.fused_sources import read_fused_sources
from experiments.report.gather import Material, gather
from experiments.report.health import annotated_part, health_section, predicted_part
from experiments.report.history import Change, change_since, last_best, read_history, remember
from experiments.report.outcomes import best_f1_threshold
from experiments.report.pr_curves import pr_curves
from experiments.report.records import kit_record, run_records, source_records
from experiments.report.render import render_page
from experiments.report.verdict import headline, score_table
from experiments.report.viewer import (
    most_changed_image_ids,
    picture_table,
    viewer_images,
    worst_image_ids,
)


@dataclass(frozen=True)
class ReportOptions:
    """What to report on.

    Attributes:
        data, work: data and work roots.
        fold: validation fold; None takes that of most runs.
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
    change = _change(material, options.samples)
    top = headline(material, change, options.samples)
    experiments = experiment_sections(
        material.runs, options.work, samples=options.samples, notes=notes
    )
    data = _page_data(material, options, notes)
    page = render_page(
        headline=top,
        change=change,
        scores=score_table(material),
        experiments=experiments,
        data=data,
        runs=run_records(material.runs),
        files=source_records(material.sources),
        kit=kit_record(material),
        notes=notes,
    )
    write_text(path, page)
    if material.best is not None and material.truth is not None:
        remember(WorkPaths(options.work).history, material.best, material.truth)
    return Summary(path.stat().st_size / 1e6, top.line, tuple(notes))


def _change(material: Material, samples: int) -> Change | None:
    best, truth = material.best, material.truth
    if best is None or truth is None:
        return None
    folder = WorkPaths(material.work).history
    entry = last_best(read_history(folder), best, truth)
    return None if entry is None else change_since(entry, folder, best, truth, samples)


def _page_data(material: Material, options: ReportOptions, notes: list[str]) -> dict[str, Any]:
    """Everything that the page's script draws."""
    runs = [run for run in material.runs if run.fold == material.fold]
    data: dict[str, Any] = dict.fromkeys(("pr", "confusion", "viewers", "best"))
    data["figures"] = {"curves": curve_figures(runs), "errors": []}
    data["figures"]["bars"] = bar_figures(material.sources)
    data["health"] = _health(material)
    data["figures"]["health"] = data["health"]["figures"] if data["health"] else []
    best, truth = material.best, material.truth
    if best is None or truth is None:
        return data
    threshold = best_f1_threshold(best)
    data["classes"] = list(truth.category_names)
    data["best"] = best.name
    data["threshold"] = round(threshold, 2)
    data["pr"] = pr_curves(material.sources)
    data["confusion"] = confusion_section(best, truth, threshold, material.data_root)
    data["figures"]["errors"] = error_figures(material.sources, truth)
    data["viewers"], data["pictures"] = _viewers(material, options.image_count, threshold, notes)
    return data


def _viewers(
    material: Material, count: int, threshold: float, notes: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    best, truth = material.best, material.truth
    worst = worst_image_ids(best, truth, threshold, count)
    changed, sources = [], None
    if material.fusion is not None and material.members:
        sources = read_fused_sources(material, notes)
        strongest = material.members[0]
        cuts = (best_f1_threshold(strongest), best_f1_threshold(material.fusion))
        changed = most_changed_image_ids(strongest, material.fusion, truth, cuts, count // 2 or 1)
    pictures = picture_table(material, [*worst, *changed])
    missing = len({*worst, *changed}) - len(pictures)
    if missing:
        notes.append(f"{missing} pictures could not be read under {material.data_root}")
    views = {
        "worst": [i for i in worst if str(i) in pictures],
        "fusion": [i for i in changed if str(i) in pictures],
    }
    viewers = {name: viewer_images(material, ids, sources) for name, ids in views.items()}
    return viewers, pictures


def _health(material: Material) -> dict[str, Any] | None:
    if material.train is None or material.truth is None:
        return None
    parts = [annotated_part("train", material.train), annotated_part("valid", material.truth)]
    test = _predicted_test(material)
    return health_section([*parts, *([test] if test else [])], material.truth)


def _predicted_test(material: Material) -> Any:
    from data_tools.errors import UserError
    from data_tools.prediction_files import read_predictions

    path = WorkPaths(material.work).fused("test")
    if material.test is None or material.fusion is None or not path.is_file():
        return None
    try:
        predictions = read_predictions(path, material.test)
    except UserError:
        return None
    threshold = best_f1_threshold(material.fusion)
    return predicted_part("test (predicted)", material.test, predictions, threshold)
