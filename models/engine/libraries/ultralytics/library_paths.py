"""The only file that knows the names inside ultralytics' folder of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.paths import RunPaths


@dataclass(frozen=True)
class LibraryDatasetPaths:
    """A dataset as ultralytics wants it: a tree of images beside one of label files."""

    root: Path

    @property
    def data_yaml(self) -> Path:
        """Classes and folders of the two splits."""
        return self.root / "data.yaml"

    @property
    def box_weights_json(self) -> Path:
        """Weights of training boxes other than 1, by the stem of their label file."""
        return self.root / "weights_train.json"

    def images(self, split: str) -> Path:
        """Links to the images of `train` or `val`."""
        return self.root / "images" / split

    def labels(self, split: str) -> Path:
        """Folder with a label file per image of `train` or `val`."""
        return self.root / "labels" / split

    def labels_txt(self, split: str, stem: str) -> Path:
        """Boxes of one image."""
        return self.labels(split) / f"{stem}.txt"

    def labels_cache(self, split: str) -> Path:
        """What ultralytics remembers of parsed labels."""
        return self.root / "labels" / f"{split}.cache"


@dataclass(frozen=True)
class LibraryPaths:
    """What ultralytics reads and writes in a process of its own, inside a run."""

    root: Path

    @property
    def dataset(self) -> LibraryDatasetPaths:
        """Images and labels of the run."""
        return LibraryDatasetPaths(self.root / "dataset")

    @property
    def training(self) -> Path:
        """Folder that the library's trainer writes into."""
        return self.root / "training"

    @property
    def last_checkpoint(self) -> Path:
        """The library's own checkpoint of the last whole epoch, which resuming starts from."""
        return self.training / "weights" / "last.pt"

    @property
    def epochs_jsonl(self) -> Path:
        """What the process itself notes about each epoch."""
        return self.root / "epochs.jsonl"

    @property
    def boxes_npz(self) -> Path:
        """Boxes on their way from the process to the prediction file."""
        return self.root / "boxes.npz"

    @property
    def settings(self) -> Path:
        """Folder for the library's settings, in the place of one in the user's home."""
        return self.root / "settings"

    def job_json(self, task: str) -> Path:
        """What the process is to do; `task` is `train` or `predict`."""
        return self.root / f"{task}.json"

    def log(self, task: str) -> Path:
        """What the process printed."""
        return self.root / f"{task}.log"


def library_paths(run: RunPaths) -> LibraryPaths:
    """Paths of everything that ultralytics reads or writes for a run."""
    return LibraryPaths(run.ultralytics)
