"""Where one call reads and writes: data root, work root and fold, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.paths import DataPaths, RunPaths, WorkPaths
from workflow.given.settings import Settings

SAMPLE = Path("sample")


@dataclass(frozen=True)
class Place:
    """Settings and the paths that follow from them.

    Attributes:
        settings: as given.
        data: the data root.
        work: the work root.
        fold: fold that is held out.
    """

    settings: Settings
    data: DataPaths
    work: WorkPaths
    fold: int

    @property
    def is_sample(self) -> bool:
        """Whether the data are the built-in sample, drawn already or not."""
        return self.data.root == SAMPLE or self.data.sample_marker.is_file()

    @property
    def val_json(self) -> Path:
        """Annotations of the fold that is held out."""
        return self.work.val_json(self.fold)

    @property
    def has_test(self) -> bool:
        """Whether there are test images, or will be once the sample is drawn."""
        return self.data.test_json.is_file() or self.data.root == SAMPLE

    def run(self, name: str) -> RunPaths:
        """Paths of one run of the fold."""
        return self.work.run(name, self.fold)

    def require_test(self) -> None:
        """Refuse what cannot be done without `test.json`.

        Raises:
            UserError: the data root has none.
        """
        if not self.has_test:
            raise UserError(
                "there are no test images",
                where=self.data.test_json,
                expected="the COCO file of the images to predict",
                next_step="put it there; make train and make score do without",
            )


def place_of(settings: Settings) -> Place:
    """Return the place that the settings name; without DATA the sample unless data/ is filled."""
    root = Path(settings["DATA"] or "data")
    if not settings["DATA"] and not DataPaths(root).train_json.is_file():
        root = SAMPLE
    return Place(
        settings, DataPaths(root), WorkPaths(Path(settings["WORK"])), int(settings["FOLD"])
    )
