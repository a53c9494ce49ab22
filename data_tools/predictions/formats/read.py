"""Read a submission of any format into predictions; refuse what is wrong, say what is assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.options.notes import assume
from data_tools.predictions.formats.catalogue import find_format
from data_tools.predictions.formats.faults import positions_without_row, refuse_faults
from data_tools.predictions.formats.raw import read_raw
from data_tools.predictions.formats.recognise import recognised
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.formats.subject import Subject
from data_tools.predictions.misread import BoxNumbers, predictions_as_filed
from data_tools.predictions.prediction_table import TABLE_COLUMNS, read_prediction_table
from data_tools.predictions.table import Predictions
from data_tools.predictions.text_columns import read_text_table

CSV_ENDINGS = (".csv", ".csv.gz")
JSON_ENDINGS = (".json", ".json.gz")


def read_submission(
    path: Path,
    dataset: CocoDataset,
    submission_format: SubmissionFormat | None = None,
    numbers: BoxNumbers | None = None,
) -> tuple[Predictions, tuple[str, ...]]:
    """Read a submission; rows keep the order of the file.

    Args:
        path: the file, or its gzipped form.
        dataset: the images that it was written for.
        submission_format: its format; None recognises that of a CSV.
        numbers: as in `predictions_as_filed`.

    Returns:
        The predictions, and the file names of images that have no row though the format has one for
        each; they are images without boxes in the predictions.

    Raises:
        UserError: the first thing that makes the boxes unreadable (`submit check` lists all).
    """
    if submission_format is None:
        table = read_text_table(path)
        if tuple(table.columns) == TABLE_COLUMNS:
            return read_prediction_table(path, dataset, numbers), ()
        subject = recognised(table, dataset, path)
    else:
        raw = read_raw(path, submission_format, dataset)
        subject = Subject(raw, submission_format, dataset, path)
        refuse_faults(subject)
    raw = subject.raw
    for text in liberties(subject):
        assume(f"{path}: {text}")
    predictions = predictions_as_filed(
        path,
        dataset,
        dataset.image_ids[raw.image_index[raw.row_of_box]],
        raw.category_ids[raw.class_index],
        raw.scores,
        raw.boxes_xyxy,
        stated_sides_wh=raw.sides_wh,
        numbers=numbers,
    )
    names = dataset.file_names
    return predictions, tuple(names[place] for place in positions_without_row(subject))


def liberties(subject: Subject) -> Iterator[str]:
    """Say what a file has otherwise than its format, and was read all the same."""
    raw = subject.raw
    if raw.index_column is not None:
        yield f"the row numbers in front (column {raw.index_column!r}) are passed over"
    if raw.loosely_named.any():
        row = int(raw.loosely_named.argmax())
        image = subject.dataset.file_names[int(raw.image_index[row])]
        yield (
            f"{int(raw.loosely_named.sum())} names have another ending, or a folder more or less, "
            f"than in {subject.dataset.source}; the first is {raw.names[row]!r}, read as {image!r}"
        )
    if raw.decimal_labels:
        yield f"{raw.decimal_labels} labels are written with decimals, such as 7.0"


def reading_format(
    name: str | None, format_file: str | Path | None, files: Sequence[str | Path]
) -> SubmissionFormat | None:
    """Return the format that `--format` and `--format-file` name for these files; None without.

    Raises:
        UserError: as `find_format` and `refuse_unused_format`.
    """
    found = chosen_format(name, format_file)
    refuse_unused_format(found, files)
    return found


def chosen_format(name: str | None, format_file: str | Path | None) -> SubmissionFormat | None:
    """Return the format that `--format` and `--format-file` name, None without them."""
    return None if name is None and format_file is None else find_format(name, format_file)


def refuse_unused_format(
    submission_format: SubmissionFormat | None, files: Sequence[str | Path]
) -> None:
    """Raise `UserError` for a format that none of the files is of the kind of."""
    if submission_format is None or any(is_of_kind(path, submission_format) for path in files):
        return
    raise UserError(
        f"--format {submission_format.name} is of no use: no file can be in that format",
        where=", ".join(map(str, files)),
        next_step="leave --format out: files of other kinds need none",
    )


def is_of_kind(path: str | Path, submission_format: SubmissionFormat) -> bool:
    """Whether a format may be that of a file: never of Parquet, that of a CSV not of JSON."""
    other = (
        (".parquet",) if submission_format.row_per == "coco_json" else (".parquet", *JSON_ENDINGS)
    )
    return not Path(path).name.endswith(other)
