"""CSVs read and written as whole columns of text."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file
from data_tools.ground.text_tables import decoded, unpacked

if TYPE_CHECKING:
    import polars as pl

LONGEST_HEADER = 100


def read_text_table(path: str | Path) -> pl.DataFrame:
    """Read a CSV (`.csv` or `.csv.gz`) with a header, every column as text, nulls as ""."""
    import polars as pl

    path = Path(path)
    try:
        content = unpacked(path)
    except FileNotFoundError:
        raise UserError("the file does not exist", where=path, expected="a CSV file") from None
    try:
        table = pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        decoded(content, path)  # not being UTF-8 is the commonest reason, and has its own message
        raise UserError(
            f"the file is not a valid CSV ({str(error).splitlines()[0]})",
            where=path,
            expected="a header and one row per image or box",
            next_step="write it again: it may have been cut off",
        ) from None
    return table.with_columns(pl.all().fill_null(""))


def header_text(columns: Sequence[str]) -> str:
    """Return a header as a message can show it: a file that is not a CSV has a very long one."""
    text = ",".join(columns)
    return text if len(text) <= LONGEST_HEADER else f"{text[:LONGEST_HEADER]}..."


def write_text_table(path: str | Path, table: pl.DataFrame) -> None:
    """Write a table as CSV (gzipped if the name ends in `.gz`), whole or not at all."""
    import polars as pl

    path = Path(path)

    # An empty text would be written as "", which a simple reader takes for two quotes.
    bare = table.with_columns(pl.when(pl.all() == "").then(None).otherwise(pl.all()).name.keep())
    content = bare.write_csv(line_terminator="\n").encode()
    with whole_file(path) as temporary:
        packed = gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content
        temporary.write_bytes(packed)
