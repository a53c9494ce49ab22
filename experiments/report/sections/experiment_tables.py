"""The controlled experiments on disk: every arm against its base, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.ground.run_names import split_seed
from experiments.compare.arms_on_disk import RunGroup
from experiments.compare.compare import compare_groups
from experiments.compare.comparison import Basis, Comparison, MetricRow
from experiments.compare.text import interval_text, mean_text, signed
from experiments.plan.spec_file import BASE_ARM
from experiments.run_folder import Run
from scoring.uncertainty.bootstrap import PER_CLASS

SUFFIX = f"-{BASE_ARM}"


@dataclass(frozen=True)
class ExperimentOnDisk:
    """Runs named `<experiment>-<arm>-seed<n>`, grouped by arm, of one fold."""

    name: str
    base: RunGroup
    arms: tuple[RunGroup, ...]


def experiments_on_disk(runs: tuple[Run, ...]) -> list[ExperimentOnDisk]:
    """Group runs into experiments; only those with a base and at least one scored arm."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        name, seed = split_seed(run.experiment)
        if seed is not None and run.epochs:
            groups.setdefault((name, run.paths.root.name), []).append(run)
    arms = {
        key: RunGroup(key[0], tuple(sorted(found, key=lambda run: run.seed or 0)))
        for key, found in groups.items()
    }
    stems = [(name.removesuffix(SUFFIX), fold) for name, fold in arms if name.endswith(SUFFIX)]
    others: dict[tuple[str, str], list[RunGroup]] = {stem: [] for stem in sorted(stems)}
    for (name, fold), group in sorted(arms.items()):
        # Names hold dashes too: of `mosaic` and `mosaic-30min` the longer one has the arm.
        own = [stem for stem in stems if stem[1] == fold and name.startswith(f"{stem[0]}-")]
        if own and not name.endswith(SUFFIX):
            others[max(own, key=lambda stem: len(stem[0]))].append(group)
    return [
        ExperimentOnDisk(name, arms[name + SUFFIX, fold], tuple(found))
        for (name, fold), found in others.items()
        if found
    ]


def experiment_sections(
    runs: tuple[Run, ...], work: Path, *, samples: int, notes: list[str]
) -> list[dict[str, Any]]:
    """Return one entry per experiment: its comparisons, ready to be printed as tables."""
    sections = []
    for experiment in experiments_on_disk(runs):
        comparisons = [
            _comparison(experiment.base, arm, work, samples, notes) for arm in experiment.arms
        ]
        sections.append({"name": experiment.name, "comparisons": [c for c in comparisons if c]})
    return sections


def _comparison(
    base: RunGroup, arm: RunGroup, work: Path, samples: int, notes: list[str]
) -> dict[str, Any] | None:
    try:
        return comparison_view(compare_groups(base, arm, work, samples=samples))
    except UserError as error:
        notes.append(f"{base.name} and {arm.name} are not compared: {error.what}")
        return None


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as strings for the page."""
    return {
        "base": comparison.base,
        "other": comparison.other,
        "factors": list(dict.fromkeys(d.factor for d in comparison.differing)),
        "keys": [str(difference) for difference in comparison.differing],
        "seeds": [", ".join(map(str, seeds)) for seeds in comparison.seeds],
        "warnings": list(comparison.warnings),
        "leaked": [f"{arm}: {r}" for arm, rs in comparison.leaked.items() for r in rs],
        "bases": [_basis_view(basis) for basis in comparison.distinct_bases],
    }


def _basis_view(basis: Basis) -> dict[str, Any]:
    return {
        "title": basis.title,
        "notes": list(basis.notes),
        "rows": [_row_view(r) for r in basis.rows if not r.metric.startswith(PER_CLASS)],
        "class_rows": [_row_view(r) for r in basis.rows if r.metric.startswith(PER_CLASS)],
    }


def _row_view(row: MetricRow) -> dict[str, str]:
    return {
        "metric": row.metric.removeprefix(f"{PER_CLASS}/"),
        "base": mean_text(row.base, row.base_seeds),
        "other": mean_text(row.other, row.other_seeds),
        "difference": signed(row.difference),
        "over_images": interval_text(row.over_images),
        "over_seeds": interval_text(row.over_seeds),
        "verdict": row.verdict,
    }
