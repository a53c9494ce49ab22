"""The ledger of submissions: local score, leaderboard score, and what one says about the other."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from data_tools.errors import UserError
from data_tools.files import sha256_of_file, write_text
from submit.leaks import leak_line

SUBMISSIONS_PER_DAY = 10


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


COLUMNS = tuple(entry.name for entry in fields(Entry))
NUMBERS = ("local_score", "local_low", "local_high", "leaderboard_score")


def read_ledger(path: str | Path) -> list[Entry]:
    """Return the entries in the order in which they were made; none if there is no file yet.

    Raises:
        UserError: the file is no ledger, or holds a number that is none.
    """
    path = Path(path)
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(
                f"the header is {','.join(reader.fieldnames or ())!r}",
                where=path,
                expected=",".join(COLUMNS),
                next_step="move the file away, or name another with --ledger",
            )
        return [_entry(row, path, number) for number, row in enumerate(reader, start=2)]


def write_ledger(path: str | Path, entries: list[Entry]) -> None:
    """Write the entries, whole or not at all."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        row = {key: "" if value is None else value for key, value in asdict(entry).items()}
        writer.writerow({**row, "members": " ".join(entry.members)})
    write_text(path, buffer.getvalue())


def log_submission(
    ledger_file: str | Path,
    submission_file: str | Path,
    *,
    score: dict[str, Any] | None = None,
    leaderboard_score: float | None = None,
    note: str | None = None,
    now: datetime | None = None,
) -> Entry:
    """Enter a submission, or complete the entry of the same file (known by its hash).

    Args:
        ledger_file: the ledger; made if it is not there.
        submission_file: the file that was handed in.
        score: what `submit.scoring.score_file` returns for the same members on the validation
            fold.
        leaderboard_score: what the server said.
        note: free words; None keeps those that are there.
        now: time of the entry; None means the clock.

    Raises:
        UserError: a file is missing or of the wrong kind, or the score is no mAP50.
    """
    if leaderboard_score is not None and not 0 <= leaderboard_score <= 1:
        raise UserError(
            f"the leaderboard score is {leaderboard_score:g}",
            expected="mAP50 as a number from 0 to 1, such as 0.6153",
        )
    submission_file = Path(submission_file)
    if not submission_file.is_file():
        raise UserError("the submission does not exist", where=submission_file)
    entries = read_ledger(ledger_file)
    sha256 = sha256_of_file(submission_file)
    place = next((i for i, entry in enumerate(entries) if entry.sha256 == sha256), len(entries))
    if place == len(entries):
        moment = (now or datetime.now(timezone.utc)).isoformat(timespec="seconds")
        entries.append(Entry(submitted=moment, file=str(submission_file), sha256=sha256))
    changes: dict[str, Any] = {} if score is None else _local_score(score)
    if leaderboard_score is not None:
        changes["leaderboard_score"] = leaderboard_score
    if note is not None:
        changes["note"] = note
    entries[place] = replace(entries[place], **changes)
    write_ledger(ledger_file, entries)
    return entries[place]


def submissions_left(
    entries: list[Entry],
    *,
    per_day: int = SUBMISSIONS_PER_DAY,
    utc_offset_hours: float = 0.0,
    now: datetime | None = None,
) -> int:
    """Return how many submissions the day still allows.

    Args:
        entries: the ledger; each entry is one submission, at the time it was entered.
        per_day: the competition's limit.
        utc_offset_hours: the clock by which its day changes: 9 for Korea.
        now: None means the clock.
    """
    zone = timezone(timedelta(hours=utc_offset_hours))
    today = (now or datetime.now(timezone.utc)).astimezone(zone).date()
    days = [datetime.fromisoformat(entry.submitted).astimezone(zone).date() for entry in entries]
    return max(per_day - days.count(today), 0)


def pick_two(entries: list[Entry]) -> list[tuple[Entry, str]]:
    """Return the two submissions to select at the end, each with the reason.

    One by each yardstick: the best trusted local score, which the leaderboard's luck cannot move,
    and the best leaderboard score. Where both name the same file, the second is the next best by
    leaderboard, else by local score.
    """
    trusted = [entry for entry in entries if entry.local_score is not None and not entry.leaked]
    ranked = [entry for entry in entries if entry.leaderboard_score is not None]
    by_local = sorted(trusted, key=lambda entry: -(entry.local_score or 0))
    by_leaderboard = sorted(ranked, key=lambda entry: -(entry.leaderboard_score or 0))
    candidates = [(entry, "best local score that can be trusted") for entry in by_local[:1]]
    candidates += [(entry, "best leaderboard score") for entry in by_leaderboard[:1]]
    candidates += [(entry, "next best leaderboard score") for entry in by_leaderboard[1:]]
    candidates += [(entry, "next best local score") for entry in by_local[1:]]
    picked: dict[str, tuple[Entry, str]] = {}
    for entry, reason in candidates:
        if entry.sha256 in picked and reason.startswith("best"):
            reason = f"{picked[entry.sha256][1]}, and {reason}"
            picked[entry.sha256] = (entry, reason)
        elif entry.sha256 not in picked and len(picked) < 2:
            picked[entry.sha256] = (entry, reason)
    return list(picked.values())


def _entry(row: dict[str, str], path: Path, number: int) -> Entry:
    try:
        figures = {key: float(row[key]) if row[key] else None for key in NUMBERS}
        datetime.fromisoformat(row["submitted"])
    except (ValueError, TypeError) as error:
        raise UserError(
            f"the row cannot be read ({error})", where=f"{path}, line {number}"
        ) from None
    texts = {key: row[key] for key in ("submitted", "file", "sha256", "leaked", "note")}
    return Entry(members=tuple(row["members"].split()), **texts, **figures)


def find_score(
    validation_file: str | Path | None,
    truth_file: str | Path | None,
    score_file: str | Path | None,
) -> dict[str, Any] | None:
    """Score a validation file, or read the score file, or return None if neither is given."""
    if validation_file is not None and truth_file is not None:
        from submit.bootstrap import DEFAULT_SAMPLES
        from submit.scoring import score_file as score

        return score(validation_file, truth_file, bootstrap_samples=DEFAULT_SAMPLES)
    return None if score_file is None else read_score_file(score_file)


def read_score_file(path: str | Path) -> dict[str, Any]:
    """Read what `submit score --json` wrote.

    Raises:
        UserError: the file is no JSON, or something else.
    """
    path = Path(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the score file is not valid JSON ({error})", where=path) from None
    if not isinstance(result, dict) or "competition_map50" not in result:
        raise UserError(
            "the file is no score file",
            where=path,
            expected="what `python -m submit score FILE --truth ... --json OUT` writes",
        )
    return result


def _local_score(score: dict[str, Any]) -> dict[str, Any]:
    band = score.get("intervals", {}).get("competition_map50", {})
    return {
        # Names are kept in one cell, separated by spaces.
        "members": tuple(name.replace(" ", "_") for name in score.get("members", ())),
        "local_score": score["competition_map50"],
        "local_low": band.get("low"),
        "local_high": band.get("high"),
        "leaked": leak_line(score.get("leaked")),
    }
