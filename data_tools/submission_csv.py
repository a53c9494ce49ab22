"""Submission CSVs `PredictionString,image_id` as whole columns, in both directions."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np

from data_tools.coco import CocoDataset
from data_tools.errors import UserError
from data_tools.predictions import Predictions, predictions_from_rows
from data_tools.provenance import Provenance

HEADER = ("PredictionString", "image_id")


def read_submission_csv(path: str | Path, dataset: CocoDataset) -> Predictions:
    """Read `label score xmin ymin xmax ymax ` strings; rows keep the order of the file.

    Accepts a trailing space or none, and empty or NaN strings for images without boxes.

    Raises:
        UserError: wrong header, an unknown or repeated image, a string that is no list of boxes.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    csv.field_size_limit(1 << 30)
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if set(reader.fieldnames or ()) != set(HEADER):
            raise UserError(
                f"the header is {','.join(reader.fieldnames or ())!r}",
                where=path,
                expected=",".join(HEADER),
            )
        lines = list(reader)
    names = [line["image_id"] for line in lines]
    unknown = [name for name in names if name not in dataset.image_id_of_file_name]
    if unknown or len(set(names)) != len(names):
        raise UserError(
            f"{len(unknown)} images are not in the dataset, "
            f"{len(names) - len(set(names))} are repeated",
            where=path,
            expected=f"each `file_name` of {dataset.source} at most once",
        )
    values, row_image_ids = [], []
    for name, line in zip(names, lines, strict=True):
        text = line["PredictionString"] or ""
        numbers = [] if text.strip().lower() in ("", "nan") else text.split()
        if len(numbers) % 6:
            raise UserError(
                f"{len(numbers)} numbers in a PredictionString",
                where=f"{path}, image {name}",
                expected="six for each box: label score xmin ymin xmax ymax",
            )
        values.extend(numbers)
        row_image_ids += [dataset.image_id_of_file_name[name]] * (len(numbers) // 6)
    table = np.array(values, dtype=np.float64).reshape(-1, 6)
    return predictions_from_rows(
        dataset.image_ids,
        np.array(row_image_ids, dtype=np.int64),
        table[:, 0].astype(np.int64),
        table[:, 1],
        table[:, 2:],
        provenance=Provenance(dataset=dataset.fingerprint, run=path.name.split(".")[0]),
        row_order="file",
    )
