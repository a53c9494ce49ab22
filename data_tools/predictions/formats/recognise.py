"""Which format a CSV is in, where nobody says it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.options.notes import assume
from data_tools.predictions.formats.catalogue import DEFAULT_FORMAT, load_formats
from data_tools.predictions.formats.faults import refuse_faults
from data_tools.predictions.formats.joining import without_index
from data_tools.predictions.formats.raw import raw_of_table
from data_tools.predictions.formats.schema import SubmissionFormat
from data_tools.predictions.formats.subject import Subject
from data_tools.predictions.text_columns import header_text

if TYPE_CHECKING:
    import polars as pl


def recognised(table: pl.DataFrame, dataset: CocoDataset, path: Path) -> Subject:
    """Read a CSV in the built-in format that has its header and reads it without a fault.

    Which one is said, except for the default.

    Raises:
        UserError: no format has the header; or none that has it can be read, or several can and
            give different boxes.
    """
    candidates = formats_with_header(table)
    names = ", ".join(one.name for one in candidates)
    if not candidates:
        headers = {one.name: ",".join(one.columns) for one in load_formats().values()}
        known = "; ".join(f"{name}: {header}" for name, header in headers.items() if header)
        raise UserError(
            f"the header is {header_text(table.columns)!r}, that of no format",
            where=path,
            expected=f"one of {known}",
            next_step="describe the file in a format of your own and give it with --format and "
            "--format-file (see docs/submission.md)",
        )
    if len(candidates) == 1:
        subject = _read(table, candidates[0], dataset, path)
        refuse_faults(subject)
        return _said(subject)
    readable: list[Subject] = []
    faults: list[UserError] = []
    for one in candidates:
        if readable and not _may_say_otherwise(readable[0], one):
            continue
        found = _read_or_fault(table, one, dataset, path)
        if isinstance(found, Subject):
            readable.append(found)
        else:
            faults.append(found)
    if not readable:
        first = faults[0]
        raise UserError(
            f"read in the format {candidates[0].name!r}: {first.what}",
            where=first.where or path,
            expected=first.expected or f"a file in one of the formats with this header: {names}",
            next_step=f"choose one with --format ({names}); `python -m submit check` lists "
            "everything that is wrong",
        )
    if any(_says_otherwise(readable[0], other) for other in readable[1:]):
        raise UserError(
            "the file can be read in several formats, with different boxes",
            where=path,
            expected=f"--format with one of {', '.join(one.format.name for one in readable)}",
        )
    return _said(readable[0])


def formats_with_header(table: pl.DataFrame) -> list[SubmissionFormat]:
    """Return the built-in formats with these columns, in whatever order the columns stand."""
    formats = [one for one in load_formats().values() if one.columns]
    for columns in (table.columns, without_index(table)[0].columns):
        found = [one for one in formats if sorted(one.columns) == sorted(columns)]
        if found:
            return found
    return []


def _read(table: pl.DataFrame, one: SubmissionFormat, dataset: CocoDataset, path: Path) -> Subject:
    return Subject(raw_of_table(table, one, dataset, path), one, dataset, path)


def _read_or_fault(
    table: pl.DataFrame, one: SubmissionFormat, dataset: CocoDataset, path: Path
) -> Subject | UserError:
    try:
        subject = _read(table, one, dataset, path)
        refuse_faults(subject)
    except UserError as error:  # also where the format cannot express the dataset
        return error
    return subject


def _may_say_otherwise(one: Subject, other: SubmissionFormat) -> bool:
    """Whether another format could read other boxes; seen without reading the file again."""
    strings = one.raw.strings
    if strings is None:
        return True
    if (one.raw.field_counts % len(other.fields)).any():
        return False
    alike = all(
        getattr(one.format, key) == getattr(other, key)
        for key in ("fields", "label_key", "normalised", "row_per")
    )
    has_fillers = bool(other.empty) and bool((strings.str.strip_chars() == other.empty).any())
    return not alike or has_fillers or bool(one.raw.loosely_named.any())


def _says_otherwise(one: Subject, other: Subject) -> bool:
    """Whether two readings of a file differ in any box."""
    first, second = one.raw, other.raw
    pairs = (
        (first.image_index[first.row_of_box], second.image_index[second.row_of_box]),
        (first.category_ids[first.class_index], second.category_ids[second.class_index]),
        (first.scores, second.scores),
        (first.boxes_xyxy, second.boxes_xyxy),
    )
    return not all(np.array_equal(left, right) for left, right in pairs)


def _said(subject: Subject) -> Subject:
    if subject.format.name != DEFAULT_FORMAT:
        assume(f"{subject.path}: read in the format {subject.format.name!r}")
    return subject
