"""The first line of the report: the best score, how sure it is, and what changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.coco.dataset import CocoDataset
from experiments.report.gathered.gather import FUSION, Material, ScoredPredictions
from experiments.report.gathered.history import Change, bootstrap_competition_difference
from scoring.uncertainty.bootstrap import bootstrap_values, image_samples
from scoring.uncertainty.intervals import Interval, percentile_interval

# An interval that reaches this much farther up than down looks like a mistake unless explained.
UNEVEN = 1.5


@dataclass(frozen=True)
class Headline:
    """What the top of the page says.

    Attributes:
        line: the verdict in one sentence.
        details: further sentences.
        score, interval: of the best predictions; None when nothing is scored.
        leaked: reasons why that score cannot be trusted.
    """

    line: str
    details: tuple[str, ...]
    score: float | None
    interval: Interval | None
    leaked: tuple[str, ...]


def headline(material: Material, change: Change | None, samples: int) -> Headline:
    """Return the verdict on what is on disk."""
    best, truth = material.best, material.truth
    if best is None or truth is None:
        return Headline(_nothing_yet(material), (), None, None, ())
    weights = image_samples(len(truth.images), samples, seed=0)
    scorer = best.scorer.competition_only()
    images = int(scorer.images_with_truth[0])
    interval = percentile_interval(bootstrap_values([scorer], weights)[:, 0], images)
    line = f"{best.name}: competition mAP50 {best.score:.4f}"
    if interval:
        line += f" [{interval.low:.4f}, {interval.high:.4f}]"
    if best.leaks:
        line = f"LEAKED. {line}"
    details = [
        f"Scored on {len(truth.images)} validation images of fold {material.fold}; "
        f"95% interval over images{why_uneven(best.score, interval)}.",
        _change_sentence(change),
        *_fusion_sentences(material, weights),
    ]
    return Headline(line, tuple(d for d in details if d), best.score, interval, best.leaks)


def why_uneven(score: float, interval: Interval | None) -> str:
    """Say why an interval lies unevenly about its score, after a space; empty where it does not."""
    if interval is None or interval.high - score < UNEVEN * (score - interval.low):
        return ""
    # An image drawn twice is found twice; a class that no drawn image has does not count.
    return " (it lies unevenly: with few images of a class, resampling lifts the score)"


def _nothing_yet(material: Material) -> str:
    if material.truth is None:
        return "Nothing to score against yet: the folds are not drawn (make split)."
    if not material.runs:
        return "No runs yet: make train MODEL=tood_dcn trains the first."
    return "No validation predictions yet: python -m models predict RUN --split val."


def _change_sentence(change: Change | None) -> str:
    if change is None:
        return "The first best: there is no earlier one to compare with."
    interval = change.over_images
    spread = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if interval else ""
    return (
        f"Change against the last best ({change.last.name}, {change.last.score:.4f}, "
        f"{change.last.date}): {change.difference:+.4f}{spread}: {change.verdict}."
    )


def _fusion_sentences(material: Material, weights: np.ndarray) -> list[str]:
    fusion, members = material.fusion, [m for m in material.members if not m.leaks]
    if fusion is None or not members:
        return []
    strongest = members[0]
    values = bootstrap_competition_difference(strongest.scorer, fusion.scorer, weights)
    interval = percentile_interval(values, int(fusion.scorer.images_with_truth[0]))
    spread = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if interval else ""
    gain = fusion.score - strongest.score
    return [f"The {FUSION} against its best member ({strongest.name}): {gain:+.4f}{spread}."]


def score_rows(material: Material) -> list[list[str]]:
    """Return one row per prediction file: name, metrics, and whether it leaks."""
    return [_score_row(scored, material.truth) for scored in material.scored]


def _score_row(scored: ScoredPredictions, truth: CocoDataset | None) -> list[str]:
    keys = ("competition_map50", "map", "map50", "map75", "map_small", "map_medium", "map_large")
    numbers = [scored.values[key] for key in keys]
    cells = ["-" if number != number else f"{number:.4f}" for number in numbers]
    return [scored.name, *cells, str(len(scored.predictions)), "LEAKED" if scored.leaks else ""]
