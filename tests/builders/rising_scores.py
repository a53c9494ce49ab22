"""A file in rising order of score, its truth and what is to be said of it."""

from __future__ import annotations

from pathlib import Path

from data_tools.coco.dataset import write_coco
from tests.builders.scoring_cases import dataset

# Two truths that overlap. The weak box overlaps A most; first in the file, it takes A, and the
# strong one, which is A itself, is a miss ranked first: AP = 1/2 * 1/2. In descending order it is
# a hit ranked first, and the weak one the miss: AP = 1/2 * 1.
TRUTH = dataset(1, [(1, 1, [0, 0, 10, 10]), (1, 1, [2, 0, 10, 10])])
RISING = [(1, 1, 0.8, [0.5, 0, 10.5, 10]), (1, 1, 0.9, [0, 0, 10, 10])]
RISING_NOTE = (
    "on 1 of 1 images boxes of a class are not in descending order of score (rising throughout on "
    "1): competition_map50 is 0.2500 as filed, 0.5000 in descending order (`submit write` and "
    "`data_tools convert --sort-scores` write it so)"
)
RISING_CSV = "PredictionString,image_id\n1 0.8 0.5 0 10.5 10 1 0.9 0 0 10 10 ,test/0001.jpg\n"


def write_rising_files(folder: Path) -> tuple[Path, Path, Path]:
    """Write the file, its truth and the same images without truth."""
    path, truth, images = (folder / name for name in ("rising.csv", "val.json", "test.json"))
    path.write_text(RISING_CSV)
    write_coco(truth, TRUTH)
    write_coco(images, dataset(1))
    return path, truth, images
