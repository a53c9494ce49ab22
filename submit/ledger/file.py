"""The ledger's file: a CSV that people also open and edit in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.files import write_text
from data_tools.ground.paths import lock_beside
from data_tools.ground.text_tables import read_table
from data_tools.predictions.text_columns import header_text

LOCK_SECONDS = 60


@dataclass(frozen=True)
class Entry:
    """One submission.

    Attributes:
        submitted: time of the entry, ISO 8601 in UTC.
        file: its path.
        sha256: hash of the file, by which it is known again.
        members: names of the fused runs.
        local_score: competition_map50 on the validation fold; None when it was not given.
        local_low, local_high: its bootstrap interval.
        leaderboard_score: what the server said, typed in by the user.
        leaked: why the local score cannot be trusted; empty if it can.
        note: the user's own words.
    """

    submitted: str
    file: str
    sha256: str
    members: tuple[str, ...] = ()
    local_score: float | None = None
    local_low: float | None = None
    local_high: float | None = None
    leaderboard_score: float | None = None
    leaked: str = ""
    note: str = ""


# What makes a spreadsheet take a cell for a formula.
FORMULA_STARTS = ("=", "+", "-", "@")
COLUMNS = tuple(entry.name for entry in fields(Entry))


def read_ledger(path: str | Path) -> list[Entry]:
    """Return the entries in the order in which they were made; none if there is no file yet.

    Raises:
        UserError: the file is no ledger, or holds a time or a score that is none.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return []
    table = read_table(path)
    if sorted(table.columns) != sorted(COLUMNS):
        raise UserError(
            f"the header is {header_text(table.columns)!r}",
            where=path,
            expected=",".join(COLUMNS),
            next_step="a spreadsheet must save it with commas; or name another file with --ledger",
        )
    return [
        _entry(row, f"{path}, line {line}")
        for row, line in zip(table.rows, table.lines, strict=True)
    ]


def write_ledger(path: str | Path, entries: list[Entry]) -> None:
    """Write the entries, whole or not at all."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        row = {key: "" if value is None else value for key, value in asdict(entry).items()}
        texts = {**row, "members": " ".join(entry.members)}
        writer.writerow({key: _inert(value) for key, value in texts.items()})
    write_text(path, buffer.getvalue())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time read and write the ledger; the later would undo the other's."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_beside(path)
    try:
        with FileLock(lock, timeout=LOCK_SECONDS):
            yield
    except Timeout:
        raise UserError(
            "another process has been writing the ledger for a minute",
            where=path,
            next_step=f"wait for it to end; if there is none, remove {lock}",
        ) from None


def _inert(value: object) -> object:
    """Return a text that no spreadsheet runs: what begins like a formula gets a quote in front."""
    if isinstance(value, str) and (value[:1] in FORMULA_STARTS or _is_quoted(value)):
        return f"'{value}" if value else value
    return value


def _is_quoted(text: str) -> bool:
    return text[:1] == "'" and text[1:2] in (*FORMULA_STARTS, "'")


def _entry(row: dict[str, str], where: str) -> Entry:
    row = {key: text[1:] if _is_quoted(text) else text for key, text in row.items()}
    low, high = _score(row, "local_low", where), _score(row, "local_high", where)
    if (low is None) != (high is None):
        raise UserError(
            "one of `local_low` and `local_high` is empty",
            where=where,
            expected="both ends of the interval, or neither",
        )
    return Entry(
        submitted=_moment(row["submitted"], where),
        file=row["file"],
        sha256=row["sha256"],
        members=tuple(row["members"].split()),
        local_score=_score(row, "local_score", where),
        local_low=low,
        local_high=high,
        leaderboard_score=_score(row, "leaderboard_score", where),
        leaked=row["leaked"],
        note=row["note"],
    )


def _score(row: dict[str, str], key: str, where: str) -> float | None:
    text = row[key]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError(
            f"`{key}` is {text!r}",
            where=where,
            expected="a number from 0 to 1 with a decimal point, such as 0.6153, or nothing",
        )
    return value


def _moment(text: str, where: str) -> str:
    """Return a time as ISO 8601 in UTC; one without a zone, as spreadsheets leave it, is in UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(
            f"`submitted` is {text!r}",
            where=where,
            expected="a time in UTC, such as 2026-03-05T12:00:00+00:00",
            next_step="write it so again: spreadsheets change times to their own style",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds")
