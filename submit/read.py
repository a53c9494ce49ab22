"""Read a submission of any format into predictions, refusing what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows
from submit.checks.preflight import refuse_errors
from submit.formats.catalogue import find_format
from submit.formats.raw import read_raw


def read_submission(
    path: str | Path,
    format_name: str | None,
    dataset: CocoDataset,
    *,
    format_file: str | Path | None = None,
) -> Predictions:
    """Read a submission of a named format; rows keep the order of the file.

    Args:
        path: the file, or its gzipped form.
        format_name, format_file: as in `find_format`.
        dataset: the images that it was written for.

    Raises:
        UserError: the first thing that makes the boxes unreadable (`submit check` lists all);
            images that the file leaves out are taken as images without boxes.
    """
    path = Path(path)
    submission_format = find_format(format_name, format_file)
    raw = read_raw(path, submission_format, dataset)
    refuse_errors(raw, submission_format, dataset, path)
    return predictions_from_rows(
        dataset.image_ids,
        dataset.image_ids[raw.image_index[raw.row_of_box]],
        raw.category_ids[raw.class_index],
        raw.scores,
        raw.boxes_xyxy,
        provenance=Provenance(dataset=dataset.fingerprint, run=path.name.split(".")[0]),
        row_order="file",
        stated_sides_wh=raw.sides_wh,
    )


def is_submission(path: str | Path) -> bool:
    """Whether a file is read in a submission format: any kind but the kit's own Parquet."""
    return Path(path).suffix != ".parquet"


def count_missing_images(
    path: str | Path,
    dataset: CocoDataset,
    *,
    format_name: str | None = None,
    format_file: str | Path | None = None,
) -> int:
    """Return how many images a file with one row per image leaves out.

    Other kinds of files say nothing about images without boxes: 0.
    """
    path = Path(path)
    submission_format = find_format(format_name, format_file)
    if submission_format.row_per != "image" or not path.name.endswith((".csv", ".csv.gz")):
        return 0
    present = read_raw(path, submission_format, dataset).image_index
    return len(dataset.images) - len(np.unique(present[present >= 0]))


def missing_image_notes(
    path: str | Path,
    dataset: CocoDataset,
    *,
    format_name: str | None = None,
    format_file: str | Path | None = None,
) -> list[str]:
    """Return what to say about the images that a file leaves out: one note, or none."""
    missing = count_missing_images(path, dataset, format_name=format_name, format_file=format_file)
    if not missing:
        return []
    return [f"{missing} images have no row in the file; they are scored as images without boxes"]


def read_any(
    path: str | Path,
    dataset: CocoDataset,
    *,
    format_name: str | None = None,
    format_file: str | Path | None = None,
) -> Predictions:
    """Read a named submission format, or without a name whatever `read_predictions` reads."""
    from data_tools.predictions.files import read_predictions

    if format_name is None and format_file is None:
        return read_predictions(path, dataset)
    return read_submission(path, format_name, dataset, format_file=format_file)
