"""The intervals of the kit, over images and over seeds, and what they let one say."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

CONFIDENCE = 0.95
# What every interval over images is, in JSON and in texts.
METHOD = "expanded percentile bootstrap over images"
# With truth in fewer images, what one image happens to hold decides, and no interval over images
# covers what it says: simulated, .57 of "95%" intervals did.
FEWEST_IMAGES = 7
Verdict = Literal["higher", "lower", "not established"]


class Interval(NamedTuple):
    """Lower and upper end, both included."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether zero lies outside; an end at zero does not count as outside."""
        return self.low > 0 or self.high < 0


def mean_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> Interval | None:
    """Return Student's t interval of the mean of (S,) values; None for fewer than two.

    Source: any statistics text; mean +- t(S - 1) * s / sqrt(S).
    """
    from scipy.stats import t

    values = _known(values)
    if len(values) < 2:
        return None
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    mean = values.mean()
    return Interval(float(mean - half), float(mean + half))


def difference_interval(
    base: np.ndarray, other: np.ndarray, *, paired: bool, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return the t interval of mean(other) - mean(base) over seeds; None for fewer than two.

    Args:
        base: (S,) values of the base, one per seed.
        other: (S',) values of the other arm; in the order of the same seeds when paired.
        paired: whether value i of both has the same seed; else Welch's interval.
        confidence: share of intervals that cover the true difference.
    """
    from scipy.stats import t

    base, other = np.asarray(base, dtype=float), np.asarray(other, dtype=float)
    if paired:
        return mean_interval(other - base, confidence)
    base, other = _known(base), _known(other)
    if min(len(base), len(other)) < 2:
        return None
    parts = np.array([base.var(ddof=1) / len(base), other.var(ddof=1) / len(other)])
    difference = float(other.mean() - base.mean())
    if parts.sum() == 0:
        return Interval(difference, difference)
    counts = np.array([len(base), len(other)])
    freedom = parts.sum() ** 2 / (parts**2 / (counts - 1)).sum()
    half = float(t.ppf((1 + confidence) / 2, freedom) * math.sqrt(parts.sum()))
    return Interval(difference - half, difference + half)


def percentile_interval(
    values: np.ndarray, images: int, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return the expanded percentile interval of (R,) bootstrap values.

    The plain percentile interval is too narrow for few images, as a normal one would be with the
    normal's quantiles in place of Student's and a standard deviation divided by n.

    Args:
        values: one per sample of images.
        images: number of images that have truth for this value.
        confidence: share of intervals that cover the true value.

    Returns:
        None when no value is a number, or with fewer than `FEWEST_IMAGES` images.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; Hesterberg,
    What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), on
    expanding it.
    """
    from scipy.stats import norm, t

    values = _known(values)
    if not len(values) or images < FEWEST_IMAGES:
        return None
    student = t.ppf((1 + confidence) / 2, images - 1) * math.sqrt(images / (images - 1))
    low, high = np.quantile(values, norm.cdf([-student, student]))
    return Interval(float(low), float(high))


def score_interval(values: np.ndarray, images: int, *, seed: int) -> dict[str, Any]:
    """Return `percentile_interval` of bootstrap values as a JSON object.

    Args:
        values: (R,) one per sample of images; NaN where a sample holds no truth.
        images: number of images that have truth for this value.
        seed: seed of the samples.

    Returns:
        `low` and `high` (None where there is no interval), `standard_error`, `method`,
        `confidence`, `samples`, `seed` and `images`.
    """
    known, found = _known(values), percentile_interval(values, images)
    return {
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
        "standard_error": float(known.std(ddof=1)) if len(known) > 1 else None,
        "method": METHOD,
        "confidence": CONFIDENCE,
        "samples": len(values),
        "seed": seed,
        "images": images,
    }


def verdict(difference: float | None, *intervals: Interval | None) -> Verdict:
    """Say what the intervals establish; any that straddles zero means "not established".

    With no interval at all nothing is established, however large the difference looks.
    """
    known = [interval for interval in intervals if interval is not None]
    if difference is None or not known or not all(i.excludes_zero() for i in known):
        return "not established"
    if all(interval.low > 0 for interval in known):
        return "higher"
    return "lower" if all(interval.high < 0 for interval in known) else "not established"


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=float).ravel()
    return values[~np.isnan(values)]
