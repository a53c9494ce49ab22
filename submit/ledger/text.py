"""The ledger as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from submit.ledger.entries import SUBMISSIONS_PER_DAY, pick_two, submissions_left
from submit.ledger.file import Entry
from submit.ledger.forecast import Forecast, forecast


def ledger_summary(
    entries: list[Entry], *, per_day: int = SUBMISSIONS_PER_DAY, utc_offset_hours: float = 0.0
) -> dict[str, Any]:
    """Return everything that `submit log` prints as a JSON object."""
    return {
        "entries": [
            {**asdict(entry), "forecast": _forecast_dict(entries, entry)} for entry in entries
        ],
        "select": [
            {"file": entry.file, "sha256": entry.sha256, "reason": reason}
            for entry, reason in pick_two(entries)
        ],
        "left_today": submissions_left(entries, per_day=per_day, utc_offset_hours=utc_offset_hours),
        "per_day": per_day,
    }


def ledger_text(summary: dict[str, Any]) -> str:
    """Return the table of submissions, the forecasts, the two to select and what is left today."""
    lines = [_entry_line(entry) for entry in summary["entries"]] or ["no submissions yet"]
    if summary["entries"]:
        lines.insert(0, "submitted (UTC)   local (interval)          leaderboard  file")
    for entry in summary["entries"]:
        lines += _forecast_lines(entry)
    lines += [
        f"select {choice['file']} ({choice['sha256'][:8]}): {choice['reason']}"
        for choice in summary["select"]
    ]
    lines.append(f"{summary['left_today']} of {summary['per_day']} submissions left today")
    return "\n".join(lines)


def _forecast_dict(entries: list[Entry], entry: Entry) -> dict[str, Any] | None:
    if entry.local_score is None or entry.leaderboard_score is not None:
        return None
    found: Forecast = forecast(entries, entry.local_score)
    return asdict(found)


def _entry_line(entry: dict[str, Any]) -> str:
    local = _number(entry["local_score"])
    if entry["local_low"] is not None:
        local += f" [{entry['local_low']:.4f}, {entry['local_high']:.4f}]"
    return (
        f"{entry['submitted'][:16]}  {local:<24}  {_number(entry['leaderboard_score']):>11}  "
        f"{entry['file']} {entry['sha256'][:8]}"
        + (f"  {' '.join(entry['members'])}" if entry["members"] else "")
        + (f"  {entry['leaked']}" if entry["leaked"] else "")
        + (f"  ({' '.join(entry['note'].split())})" if entry["note"] else "")
    )


def _forecast_lines(entry: dict[str, Any]) -> list[str]:
    found = entry["forecast"]
    if found is None:
        return []
    name = f"{entry['file']} {entry['sha256'][:8]}"
    leak = "; its local score is LEAKED" if entry["leaked"] else ""
    if found["expected"] is None:
        return [f"leaderboard of {name}: {found['reason']}{leak}"]
    return [
        f"leaderboard of {name}: {found['expected']:.4f}, 95% between {found['low']:.4f} and "
        f"{found['high']:.4f} (line through {found['entries']} submissions){leak}"
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
