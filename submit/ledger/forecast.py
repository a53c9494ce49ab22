"""What the leaderboard will say of a file, from the submissions whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from submit.ledger.file import Entry

# With two parameters, four points leave two degrees of freedom: the least that gives an interval
# worth printing (with three, its half-width is 12.7 standard errors).
FEWEST_ENTRIES = 4
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Forecast:
    """A predicted leaderboard score.

    Attributes:
        expected, low, high: the score and its prediction interval; None with too little history.
        entries: number of submissions that it rests on.
        reason: why there is no forecast; empty if there is one.
        slope, intercept: the fitted line, leaderboard = slope * local + intercept.
    """

    expected: float | None
    low: float | None
    high: float | None
    entries: int
    reason: str = ""
    slope: float | None = None
    intercept: float | None = None


def forecast(entries: list[Entry], local_score: float) -> Forecast:
    """Fit leaderboard on local score by least squares and predict a new file's leaderboard score.

    Entries whose local score is leaked say nothing about new files and are left out.

    Args:
        entries: the ledger.
        local_score: competition_map50 of the new file on the validation fold.

    Returns:
        The forecast with the 95% prediction interval of a new observation (Draper and Smith,
        "Applied Regression Analysis", section 1.4), cut to [0, 1].
    """
    known = [
        (entry.local_score, entry.leaderboard_score)
        for entry in entries
        if entry.local_score is not None and entry.leaderboard_score is not None
        and not entry.leaked
    ]  # fmt: skip
    if len(known) < FEWEST_ENTRIES:
        reason = (
            f"too little history: {len(known)} submissions have both a trusted local and a "
            f"leaderboard score, at least {FEWEST_ENTRIES} are needed"
        )
        return Forecast(None, None, None, len(known), reason)
    local, leaderboard = np.array(known, dtype=np.float64).T
    if np.ptp(local) == 0:
        return Forecast(None, None, None, len(known), "all local scores are the same: no line")
    return _fitted(local, leaderboard, local_score)


def _fitted(local: np.ndarray, leaderboard: np.ndarray, local_score: float) -> Forecast:
    from scipy.stats import t

    count = len(local)
    spread = ((local - local.mean()) ** 2).sum()
    slope = ((local - local.mean()) * (leaderboard - leaderboard.mean())).sum() / spread
    intercept = leaderboard.mean() - slope * local.mean()
    residual = leaderboard - (slope * local + intercept)
    variance = (residual**2).sum() / (count - 2)
    distance = (local_score - local.mean()) ** 2 / spread
    standard_error = np.sqrt(variance * (1 + 1 / count + distance))
    half_width = t.ppf((1 + CONFIDENCE) / 2, count - 2) * standard_error
    expected = slope * local_score + intercept
    low, middle, high = np.clip([expected - half_width, expected, expected + half_width], 0, 1)
    return Forecast(
        float(middle), float(low), float(high), count, "", float(slope), float(intercept)
    )
