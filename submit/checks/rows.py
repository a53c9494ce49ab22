"""Checks of a submission's rows, names and text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import numpy as np

from data_tools.ground.findings import Finding
from data_tools.predictions.formats.catalogue import image_names
from data_tools.predictions.formats.subject import Subject, finding
from data_tools.predictions.text_columns import header_text

LARGE_FILE_BYTES = 100_000_000
# Enough for the header and the first rows, whatever their boxes.
FIRST_BYTES = 1 << 20


def wrong_ids(subject: Subject) -> Iterator[Finding]:
    """COCO results whose ids are other images than their names: a server goes by the ids."""
    if subject.raw.joined_by_name:
        message = (
            "{} boxes have an `image_id` that is not the id of the image they name; a server goes "
            "by the id (`submit write --format coco` writes the right ones)"
        )
        yield finding("error", "wrong_image_ids", message, (len(subject.raw.scores), ()))


def index_column(subject: Subject) -> Iterator[Finding]:
    """Row numbers that pandas left in front."""
    if subject.raw.index_column is not None:
        message = (
            f"the file begins with a column of row numbers ({subject.raw.index_column!r}), which a "
            "server refuses: write it with `to_csv(..., index=False)`"
        )
        yield finding("error", "index_column", message, (1, ()))


def loose_names(subject: Subject) -> Iterator[Finding]:
    """Names that lack a folder or an ending, or have one too many."""
    loose = subject.raw.loosely_named
    if loose.any():
        place = int(loose.argmax())
        wanted = image_names(subject.format, subject.dataset)[int(subject.raw.image_index[place])]
        message = f"{{}} images have a folder or an ending too few or too many; expected {wanted!r}"
        yield finding("error", "image_names", message, subject.rows(loose))


def decimal_labels(subject: Subject) -> Iterator[Finding]:
    """Labels written as 7.0, as they become beside missing values in pandas."""
    count = subject.raw.decimal_labels
    if count:
        message = "{} labels are written with decimals, such as 7.0, which a server may refuse"
        yield finding("warning", "decimal_labels", message, (count, ()))


def image_order(subject: Subject) -> Iterator[Finding]:
    """Rows in another order than the dataset's."""
    index = subject.raw.image_index[subject.raw.image_index >= 0]
    falls = int((np.diff(index) < 0).sum())
    if falls:
        message = f"rows are not in the order of {subject.dataset.source} ({{}} steps back)"
        yield finding("warning", "image_order", message, (falls, ()))


def column_order(subject: Subject) -> Iterator[Finding]:
    """A header in another order than the format's."""
    if subject.raw.columns and subject.raw.columns != subject.format.columns:
        message = (
            f"the header is {header_text(subject.raw.columns)}, "
            f"the format's is {','.join(subject.format.columns)}"
        )
        yield finding("warning", "column_order", message, (1, ()))


def spaces(subject: Subject) -> Iterator[Finding]:
    """NaN for nothing, and spaces that the format does not want or lacks."""
    strings = subject.raw.strings
    if strings is None:
        return
    filled = strings.str.strip_chars() != ""
    is_nan = strings.str.strip_chars().str.to_lowercase() == "nan"
    if is_nan.any():
        message = "{} rows say NaN instead of nothing; pandas' fillna('') fixes it"
        yield finding("warning", "nan_strings", message, subject.rows(is_nan.to_numpy()))
    with_boxes = filled & ~is_nan
    if subject.format.empty:
        with_boxes &= strings.str.strip_chars() != subject.format.empty
    wanted = subject.format.trailing_space
    wrong = (with_boxes & (strings.str.ends_with(" ") != wanted)).to_numpy()
    if wrong.any():
        what = "lack the space after the last number" if wanted else "end with a space"
        yield finding("warning", "trailing_space", f"{{}} rows {what}", subject.rows(wrong))
    odd = (with_boxes & strings.str.contains(r"^\s|\s\s|\t|\r|\n")).to_numpy()
    if odd.any():
        message = "{} rows have white space that is more than one space between numbers"
        yield finding("warning", "white_space", message, subject.rows(odd))


def file_size(subject: Subject) -> Iterator[Finding]:
    """Files that many servers refuse."""
    size = subject.path.stat().st_size
    if size > LARGE_FILE_BYTES:
        message = (
            f"the file has {size / 1e6:.0f} MB, which many servers refuse; `submit plan` finds a "
            "smaller one"
        )
        yield finding("warning", "large_file", message, (1, ()))


def encoding(subject: Subject) -> Iterator[Finding]:
    """A byte-order mark or Windows line ends, as spreadsheets leave them."""
    if subject.path.suffix == ".gz" or subject.format.row_per == "coco_json":
        return
    with open(subject.path, "rb") as file:
        start = file.read(FIRST_BYTES)
    if start.startswith(codecs.BOM_UTF8):
        message = "the file starts with a byte-order mark, which becomes part of the header"
        yield finding("warning", "byte_order_mark", message, (1, ()))
    if b"\r\n" in start:
        message = "lines end as on Windows (CR LF), which can become part of the last column"
        yield finding("warning", "line_ends", message, (1, ()))
