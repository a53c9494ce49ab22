"""Prediction files: the kit's Parquet with provenance, submission CSVs and COCO results JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import Ge, Lt

from data_tools.coco.dataset import CocoDataset
from data_tools.coco.fractions import look_like_fractions
from data_tools.ground.boxes import xywh_to_xyxy
from data_tools.ground.declared.checking import OPEN, checked
from data_tools.ground.declared.parsing import Refusal, parse_json
from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file
from data_tools.ground.options.notes import assume
from data_tools.predictions.coco_results import read_coco_results
from data_tools.predictions.formats.read import (
    CSV_ENDINGS,
    JSON_ENDINGS,
    is_of_kind,
    read_submission,
)
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.misread import BoxNumbers, predictions_as_filed
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows

METADATA_KEY = b"boxcamp"
COLUMNS = ("image_id", "label", "score", "xmin", "ymin", "xmax", "ymax", "view")
# Only where the file that they came from states them: see `Predictions.stated_sides_wh`.
STATED_SIDES = ("width", "height")
# Integer columns and what they are held as; the others are floats of either width.
KIND_OF_COLUMN = {"image_id": pa.int64(), "label": pa.int64(), "view": pa.uint8()}
# A small file can unpack to more than any machine holds.
MOST_BOXES = 200_000_000
READABLE = "prediction .parquet, submission .csv (or .csv.gz), COCO results .json"


@dataclass(frozen=True)
class FileMetadata:
    """What the metadata of a prediction file says.

    Attributes:
        image_ids: every image predicted, also those without boxes.
        provenance: where the predictions come from.
    """

    __pydantic_config__ = OPEN

    image_ids: tuple[Annotated[int, Ge(-(2**63)), Lt(2**63)], ...]
    provenance: Provenance


def require_parquet_name(path: str | Path) -> None:
    """Raise `UserError` for a name that would promise another format than the file has."""
    if Path(path).suffix != ".parquet":
        raise UserError(
            "a prediction file is written as Parquet",
            where=path,
            expected="a name that ends in .parquet",
            next_step="for a CSV: python -m submit write FILE.parquet --images data/test.json "
            "--out submission.csv",
        )


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write a Parquet prediction file, whole or not at all.

    Rows are sorted by image, then by descending score. The file's metadata holds the images
    predicted (also those without boxes) and the provenance.

    Raises:
        UserError: the name does not end in .parquet.
    """
    require_parquet_name(path)
    predictions = predictions.sorted_by_score()
    boxes, sides = predictions.boxes_xyxy, predictions.stated_sides_wh
    columns = {
        "image_id": predictions.image_id_of_row,
        "label": predictions.labels,
        "score": predictions.scores,
        "xmin": boxes[:, 0],
        "ymin": boxes[:, 1],
        "xmax": boxes[:, 2],
        "ymax": boxes[:, 3],
        "view": predictions.views,
    }
    if sides is not None:
        columns |= dict(zip(STATED_SIDES, sides.T, strict=True))
    table = pa.table(columns)
    metadata = {
        "image_ids": predictions.image_ids.tolist(),
        "provenance": predictions.provenance.as_dict(),
    }
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary)


def read_predictions(
    path: str | Path,
    dataset: CocoDataset | None = None,
    submission_format: SubmissionFormat | None = None,
    *,
    numbers: BoxNumbers | None = None,
) -> Predictions:
    """Read predictions from any kind of file; see `read_predictions_and_gaps`."""
    return read_predictions_and_gaps(path, dataset, submission_format, numbers=numbers)[0]


def read_predictions_and_gaps(
    path: str | Path,
    dataset: CocoDataset | None = None,
    submission_format: SubmissionFormat | None = None,
    *,
    numbers: BoxNumbers | None = None,
) -> tuple[Predictions, tuple[str, ...]]:
    """Read predictions from any kind of file.

    Args:
        path: the kit's Parquet, a submission CSV, or COCO results JSON.
        dataset: the images that were predicted. CSV and JSON need it; a Parquet file is checked
            against it.
        submission_format: the format of a submission, see `reading_format`; None recognises that of
            a CSV. Files of another kind are read as what they are.
        numbers: what the four numbers of a box are, if not what the format says.

    Returns:
        The predictions. Parquet: rows sorted by score. CSV and JSON: rows in file order
        (`row_order="file"`). Then the names of images that a CSV leaves out though it should list
        every image; they have no boxes.

    Raises:
        UserError: missing or broken file, a file made for other images, or boxes that look like
            fractions, or that fit when their numbers are read otherwise (`MisreadBoxes`).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("the prediction file does not exist", where=path, expected=READABLE)
    if path.suffix == ".parquet":
        if numbers:
            raise UserError(
                "a Parquet prediction file holds corners: its numbers cannot be others",
                where=path,
                expected="a CSV or COCO results",
            )
        return _read_parquet(path, dataset), ()
    if dataset is None:
        raise UserError(
            "this kind of prediction file does not say which images were predicted",
            where=path,
            expected="the COCO file of the images beside it",
            next_step="give --images (or --truth)",
        )
    if submission_format is not None and is_of_kind(path, submission_format):
        return read_submission(path, dataset, submission_format, numbers)
    if path.name.endswith(JSON_ENDINGS):
        return _read_coco_results(path, dataset, numbers), ()
    if not path.name.endswith(CSV_ENDINGS):
        raise UserError("unknown kind of prediction file", where=path, expected=READABLE)
    return read_submission(path, dataset, None, numbers)


def _read_parquet(path: Path, dataset: CocoDataset | None) -> Predictions:
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MOST_BOXES:
            raise UserError(
                f"the file has {file.metadata.num_rows:,} boxes",
                where=path,
                expected=f"at most {MOST_BOXES:,}",
            )
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"the file is not valid Parquet ({error})",
            where=path,
            next_step="write it again: it may have been cut off",
        ) from None
    content = _metadata_of(table, path)
    if dataset is not None:
        _check_dataset(path, content.provenance, np.array(content.image_ids), dataset)
    has_sides = all(table.column_names.count(name) == 1 for name in STATED_SIDES)
    names = (*COLUMNS, *STATED_SIDES) if has_sides else COLUMNS
    columns = {name: _column(table, name, path) for name in names}
    boxes_xyxy = np.stack([columns[name] for name in ("xmin", "ymin", "xmax", "ymax")], axis=1)
    if dataset is not None and look_like_fractions(boxes_xyxy, dataset.sizes_wh):
        # A file of the kit is in pixels by its contract, and all boxes of a poor detector may be
        # tiny: that is no reason to refuse them.
        assume(f"{path}: all {len(boxes_xyxy)} boxes look like fractions, and are read as pixels")
    try:
        return predictions_from_rows(
            np.array(content.image_ids, dtype=np.int64),
            columns["image_id"],
            columns["label"],
            columns["score"],
            boxes_xyxy,
            views=columns["view"],
            provenance=content.provenance,
            stated_sides_wh=np.stack([columns[name] for name in STATED_SIDES], axis=1)
            if has_sides
            else None,
        )
    except UserError as error:
        raise UserError(
            error.what, where=path, expected=error.expected, next_step=error.next_step
        ) from None


def _metadata_of(table: pa.Table, path: Path) -> FileMetadata:
    metadata = (table.schema.metadata or {}).get(METADATA_KEY)
    missing = [name for name in COLUMNS if table.column_names.count(name) != 1]
    if metadata is None or missing:
        raise UserError(
            "the Parquet file is not one of the kit's prediction files",
            where=path,
            expected=f"columns {', '.join(COLUMNS)}, each once, and the metadata `boxcamp`",
        )
    where = f"{path}, metadata `boxcamp`"
    try:
        value = parse_json(metadata.decode())
    except (Refusal, UnicodeDecodeError) as error:
        raise UserError(f"the metadata is not valid JSON ({error})", where=where) from None
    return checked(value, FileMetadata, where=where, next_step="write the file again")


def _column(table: pa.Table, name: str, path: Path) -> np.ndarray:
    """Return a column whose numbers are of its kind, none of them missing."""
    column = table.column(name)
    kind = KIND_OF_COLUMN.get(name)
    is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    if column.null_count or not is_number or (kind and not pa.types.is_integer(column.type)):
        missing = f" with {column.null_count} missing" if column.null_count else ""
        raise UserError(
            f"the column `{name}` is of type {column.type}{missing}",
            where=path,
            expected="whole numbers, none missing" if kind else "numbers, none missing",
        )
    try:
        return (column.cast(kind) if kind else column).to_numpy()
    except pa.ArrowInvalid as error:
        raise UserError(f"the column `{name}` is out of range ({error})", where=path) from None


def _check_dataset(
    path: Path, provenance: Provenance, image_ids: np.ndarray, dataset: CocoDataset
) -> None:
    same_images = np.array_equal(np.sort(dataset.image_ids), np.sort(image_ids))
    if same_images and provenance.dataset in (None, dataset.fingerprint):
        return
    raise UserError(
        f"the predictions were made for another dataset: {len(image_ids)} images "
        f"(fingerprint {provenance.dataset}), not the {len(dataset.images)} images "
        f"(fingerprint {dataset.fingerprint}) of {dataset.source}",
        where=path,
        expected="predictions of exactly these images",
        next_step="predict again with `python -m models predict`, or give the matching COCO file",
    )


def _read_coco_results(path: Path, dataset: CocoDataset, numbers: BoxNumbers | None) -> Predictions:
    results = read_coco_results(path, dataset)
    boxes_xyxy = xywh_to_xyxy(results.boxes_xywh)
    if look_like_fractions(boxes_xyxy, dataset.sizes_wh):
        raise UserError(
            f"all {len(boxes_xyxy)} boxes look like fractions of the image",
            where=path,
            expected="boxes in pixels",
            next_step="multiply them by the width and height of their image",
        )
    return predictions_as_filed(
        path,
        dataset,
        results.image_ids,
        results.labels,
        results.scores,
        boxes_xyxy,
        stated_sides_wh=results.boxes_xywh[:, 2:],
        numbers=numbers,
    )
