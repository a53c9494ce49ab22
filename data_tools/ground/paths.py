"""The only file that knows the names inside the data root, the work root and a run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.run_names import checked_name

_NONFINITE = "nonfinite"
_SOURCES_ENDING = ".sources.parquet"


@dataclass(frozen=True)
class DataPaths:
    """A competition's files: `train.json`, `test.json`, images where `file_name` says."""

    root: Path

    @property
    def train_json(self) -> Path:
        """Annotations of the training images."""
        return self.root / "train.json"

    @property
    def test_json(self) -> Path:
        """Images to predict, without annotations."""
        return self.root / "test.json"

    def annotations(self) -> tuple[Path, ...]:
        """`train.json`, and `test.json` if it is there: training and checking do without it."""
        return (self.train_json, self.test_json) if self.test_json.is_file() else (self.train_json,)

    @property
    def hidden_test_json(self) -> Path:
        """Truth of the sample's test images; a real competition keeps this file to itself."""
        return self.root / "hidden" / "test_truth.json"

    @property
    def sample_marker(self) -> Path:
        """Written by `data_tools sample`: the parameters that the dataset was drawn with."""
        return self.root / "sample.json"


@dataclass(frozen=True)
class RunPaths:
    """One training run: `runs/<experiment>/fold<k>/`."""

    root: Path

    @property
    def config_json(self) -> Path:
        """The merged configuration, written after the last override."""
        return self.root / "config.json"

    @property
    def run_json(self) -> Path:
        """Command, versions, data hashes, training images, state and result of the run."""
        return self.root / "run.json"

    @property
    def finished_json(self) -> Path:
        """Written when training ended well: the best epoch and its validation scores."""
        return self.root / "finished.json"

    @property
    def metrics_jsonl(self) -> Path:
        """One JSON object per logged step or epoch."""
        return self.root / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of `last.pt`, the one before it, and `best.pt`."""
        return self.root / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """Everything that resuming needs."""
        return self.checkpoints / "last.pt"

    @property
    def next_checkpoint(self) -> Path:
        """A checkpoint that is whole and about to become the last one."""
        return self.checkpoints / "next.pt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before the last, for when the last one is torn."""
        return self.checkpoints / "previous.pt"

    @property
    def best_checkpoint(self) -> Path:
        """Weights of the epoch with the highest validation score."""
        return self.checkpoints / "best.pt"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.root / "tensorboard"

    @property
    def lock(self) -> Path:
        """Held by the one process that trains the run."""
        return self.root / ".lock"

    @property
    def micro_batch_json(self) -> Path:
        """How many images at a time fit into memory, once one of several processes ran out."""
        return self.root / "micro_batch.json"

    def nonfinite_json(self, step: int, rank: int) -> Path:
        """The batch whose loss was not finite."""
        return self.root / f"{_NONFINITE}_step{step}_rank{rank}.json"

    @property
    def ultralytics(self) -> Path:
        """Folder of what ultralytics reads and writes; the names in it: its `library_paths.py`."""
        return self.root / "ultralytics"

    def has_traces(self) -> bool:
        """Whether training left a checkpoint or a batch whose loss was not finite."""
        return any(self.checkpoints.glob("*.pt")) or any(self.root.glob(f"{_NONFINITE}*"))

    def predictions(self, split: str) -> Path:
        """Prediction file of this run for `val` or `test`."""
        return self.root / "predictions" / f"{split}.parquet"

    def epoch_predictions(self, epoch: int) -> Path:
        """Predictions on the validation fold after epoch `epoch`, counted from 0."""
        return self.predictions(f"val_epoch{epoch + 1}")


@dataclass(frozen=True)
class WorkPaths:
    """Everything that the kit produces."""

    root: Path

    @property
    def dataset_json(self) -> Path:
        """Which dataset this folder's work belongs to."""
        return self.root / "dataset.json"

    @property
    def folds(self) -> Path:
        """Folder of the fold files."""
        return self.root / "folds"

    @property
    def split_json(self) -> Path:
        """How the folds were drawn, with every image's fold."""
        return self.folds / "split.json"

    def drawn_folds(self, part: str = "val") -> list[str]:
        """Numbers of the folds whose `train` or `val` file is there, as their names say them."""
        names = sorted(path.stem for path in self.folds.glob(f"{part}_*.json"))
        return [name.removeprefix(f"{part}_") for name in names]

    def train_json(self, fold: int) -> Path:
        """Training part of one fold."""
        return self.folds / f"train_{fold}.json"

    def val_json(self, fold: int) -> Path:
        """Validation part of one fold."""
        return self.folds / f"val_{fold}.json"

    def pseudo_json(self, fold: int, round_number: int = 1) -> Path:
        """Training part of one fold plus pseudo-labelled test images."""
        return self.root / "pseudo" / _round_folder(round_number) / f"train_{fold}.json"

    @property
    def runs(self) -> Path:
        """Folder of all runs: `runs/<experiment>/fold<k>/`."""
        return self.root / "runs"

    def run(self, experiment: str, fold: int) -> RunPaths:
        """Paths of one run; `UserError` for a name that `checked_name` refuses."""
        return RunPaths(self.runs / checked_name(experiment) / f"fold{fold}")

    @property
    def ensemble(self) -> Path:
        """Folder of fused predictions."""
        return self.root / "ensemble"

    def fused(self, split: str) -> Path:
        """Fused predictions for `val` or `test`."""
        return self.ensemble / f"{split}.parquet"

    @property
    def submission_csv(self) -> Path:
        """The file to hand in."""
        return self.root / "submission.csv"

    @property
    def ledger_csv(self) -> Path:
        """Every submission with its local and leaderboard score."""
        return self.root / "ledger.csv"

    @property
    def report_html(self) -> Path:
        """The offline report."""
        return self.root / "report.html"

    @property
    def history(self) -> Path:
        """Folder of earlier best predictions, which the report compares the present best with."""
        return self.root / "history"

    @property
    def history_json(self) -> Path:
        """Which prediction files were best in earlier reports."""
        return self.history / "history.json"

    def history_parquet(self, sha256: str) -> Path:
        """Copy of a prediction file that was best, by the hash of the original."""
        return self.history / f"{sha256[:16]}.parquet"

    def record_json(self, step: str) -> Path:
        """With which inputs and settings make did a step last."""
        return self.root / "records" / f"{step}.json"

    def recorded_steps(self, beginning: str) -> list[str]:
        """Keys of the steps on record that begin so, sorted."""
        folder = self.record_json(beginning).parent
        return sorted(path.stem for path in folder.glob(f"{beginning}*.json"))

    @property
    def logs(self) -> Path:
        """Folder of what the steps of make printed."""
        return self.root / "logs"

    def log(self, step: str) -> Path:
        """What one step printed."""
        return self.logs / f"{step}.log"

    def run_folders(self) -> list[Path]:
        """Folders of all runs that have begun, sorted; see `begun_runs`."""
        return [run for folder in sorted(self.runs.glob("*")) for run in begun_runs(folder)]


def begun_runs(experiment: Path) -> list[Path]:
    """Return the run folders in an experiment's folder, one for each fold begun, sorted."""
    return sorted(
        folder for folder in experiment.glob("fold*") if RunPaths(folder).run_json.is_file()
    )


def sources_path(fused: str | Path) -> Path:
    """Where the sources of a fused file are written: `val.sources.parquet` for `val.parquet`."""
    return Path(fused).with_name(Path(fused).stem + _SOURCES_ENDING)


def holds_sources(path: Path) -> bool:
    """Whether a file is one of sources, by its name."""
    return path.name.endswith(_SOURCES_ENDING)


def of_round(pseudo_file: Path, round_number: int) -> Path:
    """The file of another round that corresponds to a file of pseudo-labels."""
    return pseudo_file.parent.parent / _round_folder(round_number) / pseudo_file.name


def _round_folder(round_number: int) -> str:
    return f"round{round_number}"


def lock_beside(path: Path) -> Path:
    """The lock of a file that several processes write, such as the ledger."""
    return path.with_name(f".{path.name}.lock")
