"""CSV tables that people write and edit, as text: byte-order marks, gzip, torn and odd rows."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.errors import UserError

PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class TextTable:
    """A CSV file: its header, and its rows as {column: text} with the line each one ends on."""

    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    lines: list[int]


def read_table(path: Path, columns: tuple[str, ...] | None = None) -> TextTable:
    """Read a CSV file (`.csv` or `.csv.gz`); rows of empty cells are passed over.

    Args:
        path: the file.
        columns: what the columns hold, of a file without header; None takes its first row.

    Raises:
        UserError: the file is no UTF-8 text, or a row has more or fewer cells than the header.
    """
    reader = csv.reader(io.StringIO(decoded(unpacked(path), path), newline=""))
    rows, lines = [], []
    try:
        columns = tuple(next(reader, ())) if columns is None else columns
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise UserError(
                    f"the row has {len(cells)} cells, the header {len(columns)}",
                    where=f"{path}, line {reader.line_num}",
                    expected="a cell for each column, empty or not, separated by commas",
                )
            rows.append(dict(zip(columns, cells, strict=True)))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(
            f"the file is not a valid CSV ({error})", where=f"{path}, line {reader.line_num}"
        ) from None
    return TextTable(columns, rows, lines)


def first_row(path: Path) -> tuple[str, ...]:
    """Return the cells of a CSV file's first row, which is its header or is not.

    Raises:
        UserError: as `read_table`.
    """
    try:
        return tuple(next(csv.reader(io.StringIO(decoded(unpacked(path), path), newline="")), ()))
    except csv.Error as error:
        raise UserError(f"the file is not a valid CSV ({error})", where=f"{path}, line 1") from None


def unpacked(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if its name ends in `.gz`."""
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"the file is not valid gzip ({error})",
            where=path,
            next_step="write it again: it may have been cut off",
        ) from None


def decoded(content: bytes, path: Path) -> str:
    """Return bytes as text; a byte-order mark, as spreadsheets leave it, is no part of it."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        is_parquet = content.startswith(PARQUET_MAGIC)
        raise UserError(
            "the file is a Parquet file" if is_parquet else "the file is no UTF-8 text",
            where=path,
            expected="a CSV file in UTF-8",
            next_step="`python -m submit write` makes a submission of a prediction file"
            if is_parquet
            else "save it again as CSV in UTF-8",
        ) from None
