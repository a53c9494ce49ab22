"""Whether a run's validation score can be trusted: did it, or its teachers, see those images?"""

from __future__ import annotations

from pathlib import Path

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.ground.paths import WorkPaths
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions
from experiments.run_folder import Run
from scoring.leaks import leak_report


def validation_truth_path(run: Run, work: Path) -> Path:
    """Return the file that the run was validated on: the work root's own, or the recorded one.

    The recorded path may be relative to a folder that is not ours, where other data lies: of two
    files the one with the recorded content is taken.

    Raises:
        UserError: neither is there.
    """
    recorded = (run.info.get("data") or {}).get("val_json") or {}
    candidates = [] if run.fold is None else [WorkPaths(work).val_json(run.fold)]
    candidates += [Path(recorded["path"])] if recorded.get("path") else []
    present = [path for path in candidates if path.is_file()]
    digest = recorded.get("sha256")
    same = [path for path in present if digest and sha256_of_file(path) == digest]
    for path in same or present:
        return path
    raise UserError(
        f"the validation file of {run.name} is not there",
        where=", ".join(map(str, candidates)) or run.paths.root,
        expected="the COCO file that the run was validated on",
        next_step="`python -m data_tools split` writes the folds",
    )


def read_validation_truth(run: Run, work: Path) -> CocoDataset:
    """Read the truth that the run was validated on; raises as `validation_truth_path`."""
    return read_coco(validation_truth_path(run, work))


def run_leaks(run: Run, truth: CocoDataset | None) -> tuple[str, ...]:
    """Return why the run's score on `truth` cannot be trusted; empty when nothing is known."""
    provenance = Provenance(
        train_file_names=tuple(run.info.get("train_file_names") or ()),
        teacher_file_names=tuple(run.info.get("teacher_file_names") or ()),
        leaked=run.leaked,
    )
    return provenance_leaks(provenance, truth)


def prediction_leaks(predictions: Predictions, truth: CocoDataset) -> tuple[str, ...]:
    """Return why the score of predictions on `truth` cannot be trusted."""
    return provenance_leaks(predictions.provenance, truth)


def provenance_leaks(provenance: Provenance, truth: CocoDataset | None) -> tuple[str, ...]:
    """Return the recorded reasons, and the overlap of the images seen with those scored."""
    if truth is None:
        return provenance.leak_reasons()
    leak = leak_report(provenance, truth)
    if leak is None:
        return ()
    overlap = (
        f"{leak['images']} of the {leak['of']} images it is scored on were seen in training, by "
        f"it, a member or a teacher of its pseudo-labels (such as {leak['examples'][0]})"
        if leak["images"]
        else None
    )
    return tuple(dict.fromkeys([*([overlap] if overlap else []), *leak["reasons"]]))
