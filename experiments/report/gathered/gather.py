"""Everything the report is about, read once: data, runs, their predictions, the fusion."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.ground.paths import DataPaths, WorkPaths
from data_tools.predictions.files import read_predictions
from data_tools.predictions.table import Predictions
from experiments.leaks import prediction_leaks
from experiments.run_folder import Run, find_run_folders, read_run
from scoring.metrics.competition import CompetitionMatcher
from scoring.outcomes import best_f1_threshold
from scoring.uncertainty.bootstrap import ImageScorer

FUSION = "fusion"
# Curves and layers of more members than this cannot be told apart.
MAX_MEMBERS = 8


@dataclass(frozen=True)
class ScoredPredictions:
    """Predictions of the validation images, from one run or from the fusion.

    Attributes:
        name: `tood_dcn/fold3` or `fusion`.
        path: the prediction file.
        predictions: its boxes.
        scorer: matches with the truth.
        leaks: reasons why its score cannot be trusted.
    """

    name: str
    path: Path
    predictions: Predictions
    scorer: ImageScorer
    leaks: tuple[str, ...]

    @cached_property
    def values(self) -> dict[str, float]:
        """Value of each metric; NaN where there is no truth."""
        return dict(zip(self.scorer.names, self.scorer.values().tolist(), strict=True))

    @property
    def matcher(self) -> CompetitionMatcher:
        """Its matches by the competition's rules."""
        return self.scorer.competition

    @property
    def best_f1_threshold(self) -> float:
        """Score above which all its boxes together have the highest F1."""
        return best_f1_threshold(self.predictions, self.matcher)

    @property
    def score(self) -> float:
        """The competition's mAP50."""
        return self.values["competition_map50"]

    @cached_property
    def sha256(self) -> str:
        """Hash of the prediction file."""
        return sha256_of_file(self.path)


@dataclass(frozen=True)
class Material:
    """What the sections are made of; parts that do not exist are empty or None.

    Attributes:
        work: work root.
        data_root: folder that image file names are relative to.
        fold: fold shown.
        runs: all runs on disk, of every fold.
        truth: validation images of the fold with their boxes.
        train, test: the other two parts.
        members: predictions of single runs, highest score first.
        fusion: fused predictions of the same images.
        notes: what could not be read, for the reader.
    """

    work: Path
    data_root: Path
    fold: int | None
    runs: tuple[Run, ...]
    truth: CocoDataset | None
    train: CocoDataset | None
    test: CocoDataset | None
    members: tuple[ScoredPredictions, ...]
    fusion: ScoredPredictions | None
    notes: tuple[str, ...]

    @property
    def scored(self) -> tuple[ScoredPredictions, ...]:
        """The fusion first, then the members."""
        return ((self.fusion,) if self.fusion else ()) + self.members

    @property
    def best(self) -> ScoredPredictions | None:
        """Those with the highest score among those that do not leak; else the highest."""
        clean = [scored for scored in self.scored if not scored.leaks]
        return max(clean or self.scored, key=lambda scored: scored.score, default=None)


def gather(work: Path, data: Path, fold: int | None = None) -> Material:
    """Read what there is under the work root; a broken part becomes a note, not an error."""
    notes: list[str] = []
    runs = _read_runs(work, notes)
    fold = fold if fold is not None else _fold_shown(runs, work)
    paths = WorkPaths(work)
    truth = _read_part(paths.val_json(fold), notes) if fold is not None else None
    train = _read_part(paths.train_json(fold), notes) if fold is not None else None
    data_root = _data_root(data, runs)
    test = _read_part(DataPaths(data_root).test_json, notes)
    fusion = _read_scored(FUSION, paths.fused("val"), truth, notes)
    members = _read_members(runs, fold, fusion, truth, notes)
    return Material(
        work, data_root, fold, tuple(runs), truth, train, test, members, fusion, tuple(notes)
    )


def _read_runs(work: Path, notes: list[str]) -> list[Run]:
    runs = []
    for folder in find_run_folders(work):
        run = _read_run_or_note(folder, notes)
        runs += [run] if run else []
    return runs


def _read_run_or_note(folder: Path, notes: list[str]) -> Run | None:
    try:
        return read_run(folder)
    except UserError as error:
        notes.append(f"run {folder} left out: {error.what}")
        return None


def _fold_shown(runs: list[Run], work: Path) -> int | None:
    """The fold of the fusion, which heads the page; else that of most runs; else the first."""
    folds = Counter(_folds_of_fusion(work)) or Counter(run.fold for run in runs)
    del folds[None]
    if folds:
        return folds.most_common(1)[0][0]
    known = [int(number) for number in WorkPaths(work).drawn_folds() if number.isdigit()]
    return known[0] if known else None


def _folds_of_fusion(work: Path) -> list[int | None]:
    path = WorkPaths(work).fused("val")
    try:
        members = read_predictions(path).provenance.members
    except UserError:
        return []  # missing, or broken: the latter is said when it is read to be shown
    return [member.fold for member in members if member.fold is not None]


def _data_root(data: Path, runs: list[Run]) -> Path:
    recorded = [Path(run.info["data_root"]) for run in runs if run.info.get("data_root")]
    for root in (data, *recorded):
        if DataPaths(root).train_json.is_file() or DataPaths(root).test_json.is_file():
            return root
    return data


def _read_part(path: Path, notes: list[str]) -> CocoDataset | None:
    try:
        return read_coco(path)
    except UserError as error:
        notes.append(f"{path}: {error.what}")
        return None


def _read_scored(
    name: str, path: Path, truth: CocoDataset | None, notes: list[str]
) -> ScoredPredictions | None:
    if truth is None or not path.is_file():
        return None
    try:
        predictions = read_predictions(path, truth)
        scorer = ImageScorer.from_predictions(predictions, truth)
    except UserError as error:
        notes.append(f"{name} left out: {error.what}")
        return None
    return ScoredPredictions(name, path, predictions, scorer, prediction_leaks(predictions, truth))


def _read_members(
    runs: list[Run],
    fold: int | None,
    fusion: ScoredPredictions | None,
    truth: CocoDataset | None,
    notes: list[str],
) -> tuple[ScoredPredictions, ...]:
    of_fold = [run for run in runs if run.fold == fold]
    fused = _fused_run_names(fusion)
    chosen = [run for run in of_fold if run.experiment in fused] or of_fold
    found = [_read_scored(r.name, r.paths.predictions("val"), truth, notes) for r in chosen]
    members = sorted((s for s in found if s), key=lambda scored: -scored.score)
    if len(members) > MAX_MEMBERS:
        notes.append(f"{len(members)} runs have predictions; the best {MAX_MEMBERS} are shown")
    return tuple(members[:MAX_MEMBERS])


def _fused_run_names(fusion: ScoredPredictions | None) -> set[str]:
    members = fusion.predictions.provenance.members if fusion else ()
    return {member.run.split("/")[0] for member in members if member.run}
