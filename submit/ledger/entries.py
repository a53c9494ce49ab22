"""The ledger of submissions: local score, leaderboard score, and what one says about the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from scoring.leaks import leak_line
from submit.ledger.file import Entry, locked, read_ledger, write_ledger

SUBMISSIONS_PER_DAY = 10


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
        score: what `score_file` returns for the same members on the validation
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
    sha256 = sha256_of_file(submission_file)
    with locked(Path(ledger_file)):
        entries = read_ledger(ledger_file)
        place = next((i for i, entry in enumerate(entries) if entry.sha256 == sha256), len(entries))
        if place == len(entries):
            moment = (now or datetime.now(UTC)).isoformat(timespec="seconds")
            entries.append(Entry(submitted=moment, file=str(submission_file), sha256=sha256))
        changes: dict[str, Any] = {} if score is None else _local_score(score)
        if leaderboard_score is not None:
            changes["leaderboard_score"] = leaderboard_score
        if note is not None:
            changes["note"] = note
        entries[place] = replace(entries[place], **changes)
        write_ledger(ledger_file, entries)
    return entries[place]


def zone_of(utc_offset_hours: float) -> timezone:
    """Return the time zone of an offset; `UserError` where no place on earth has it."""
    if not -12 <= utc_offset_hours <= 14:
        raise UserError(
            f"--utc-offset is {utc_offset_hours:g}", expected="hours from -12 to 14: 9 for Korea"
        )
    return timezone(timedelta(hours=utc_offset_hours))


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

    Raises:
        UserError: no clock on Earth has that offset.
    """
    zone = zone_of(utc_offset_hours)
    today = (now or datetime.now(UTC)).astimezone(zone).date()
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
    picked: dict[Entry, str] = {}
    for entry, reason in candidates:
        if entry in picked and reason.startswith("best"):
            picked[entry] = f"{picked[entry]}, and {reason}"
        elif entry not in picked and len(picked) < 2:
            picked[entry] = reason
    return list(picked.items())


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
