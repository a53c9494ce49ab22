"""Earlier bests: a copy of each best prediction file, so that a change has a paired interval."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.declared.checking import OPEN, read_declared
from data_tools.ground.files import write_json
from data_tools.ground.paths import WorkPaths
from data_tools.predictions.files import read_predictions, write_predictions
from experiments.report.gathered.gather import ScoredPredictions
from scoring.uncertainty.bootstrap import ImageScorer, bootstrap_values, image_samples
from scoring.uncertainty.intervals import Interval, Verdict, percentile_interval, verdict


@dataclass(frozen=True)
class PastBest:
    """One best of an earlier report.

    Attributes:
        sha256: hash of the prediction file that was best.
        name: its name then.
        score: its competition mAP50.
        dataset: fingerprint of the validation images.
        date: day of the report.
        file: copy of the predictions, relative to the history folder.
    """

    __pydantic_config__ = OPEN

    sha256: str
    name: str
    score: Annotated[float, Ge(0), Le(1)]
    dataset: str
    date: str
    file: str


@dataclass(frozen=True)
class Change:
    """How the best of now differs from the last best, on the same images."""

    last: PastBest
    difference: float
    over_images: Interval | None
    verdict: Verdict


def read_history(work: WorkPaths) -> tuple[PastBest, ...]:
    """Read the earlier bests, oldest first; none where there is no index yet.

    Raises:
        UserError: the index is damaged; the message names the keys.
    """
    path = work.history_json
    if not os.path.lexists(path):
        return ()
    return read_declared(
        path,
        tuple[PastBest, ...],
        what="the index of earlier bests",
        next_step="restore it, or remove it to begin anew",
    )


def last_best(
    history: Sequence[PastBest], best: ScoredPredictions, truth: CocoDataset
) -> PastBest | None:
    """Return the highest earlier score on the same images by another file, if there is one."""
    others = [e for e in history if e.dataset == truth.fingerprint and e.sha256 != best.sha256]
    return max(others, key=lambda entry: entry.score, default=None)


def change_since(
    entry: PastBest, work: WorkPaths, best: ScoredPredictions, truth: CocoDataset, samples: int
) -> Change:
    """Return the change against an earlier best, with a paired bootstrap over images."""
    difference = best.score - entry.score
    interval = None
    path = work.history / entry.file
    if path.is_file():
        earlier = ImageScorer.from_predictions(
            read_predictions(path, truth), truth, with_coco=False
        )
        weights = image_samples(len(truth.images), samples, seed=0)
        values = bootstrap_competition_difference(earlier, best.scorer, weights)
        interval = percentile_interval(values, int(best.scorer.images_with_truth[0]))
    return Change(entry, difference, interval, verdict(difference, interval))


def bootstrap_competition_difference(
    first: ImageScorer, second: ImageScorer, weights: np.ndarray
) -> np.ndarray:
    """Return (R,) differences of the competition's mAP50, second minus first, sample by sample."""
    values = [bootstrap_values([s.competition_only()], weights)[:, 0] for s in (first, second)]
    return values[1] - values[0]


def remember(
    work: WorkPaths, history: Sequence[PastBest], best: ScoredPredictions, truth: CocoDataset
) -> None:
    """Add the best of this report to the history, unless it is there or leaks."""
    known = any(e.sha256 == best.sha256 and e.dataset == truth.fingerprint for e in history)
    if known or best.leaks:
        return
    copy = work.history_parquet(best.sha256)
    write_predictions(copy, best.predictions)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    entry = PastBest(best.sha256, best.name, best.score, truth.fingerprint, today, copy.name)
    write_json(work.history_json, [asdict(each) for each in (*history, entry)])
