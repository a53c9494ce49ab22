"""How far a score would move with other images of the same kind: a seeded bootstrap over images."""

from __future__ import annotations

from typing import Any

import numpy as np

from scoring.metrics.coco import CocoMatcher, summarize
from scoring.metrics.competition import CompetitionMatcher
from scoring.metrics.competition_kernels import average_precisions

DEFAULT_SAMPLES = 1000
DEFAULT_SEED = 411
CONFIDENCE = 0.95


def image_samples(image_count: int, samples: int, seed: int) -> np.ndarray:
    """Return (S, I) int64: how often each image comes when I images are drawn with replacement."""
    generator = np.random.default_rng(seed)
    even = np.full(image_count, 1 / image_count)
    return generator.multinomial(image_count, even, size=samples)


def bootstrap_competition(matcher: CompetitionMatcher, counts_of_image: np.ndarray) -> np.ndarray:
    """Return (S,) mAP50 of each sample of images.

    An image that is drawn twice counts as two images with the same boxes. A class without truth in
    a sample is left out of that sample's mean.

    Args:
        matcher: the matched table.
        counts_of_image: (S, I) from `image_samples`.
    """
    hits = matcher.true_positives()
    order, offsets = matcher.ranking()
    class_count = len(matcher.truth_counts)
    values = np.empty(len(counts_of_image))
    for sample, counts in enumerate(counts_of_image):
        truth_weights = np.bincount(
            matcher.truth_class_index,
            weights=counts[matcher.truth_image_index],
            minlength=class_count,
        )
        weights = counts[matcher.image_index].astype(np.float64)
        precisions = average_precisions(hits, order, weights, offsets, truth_weights)
        values[sample] = _mean(precisions)
    return values


def bootstrap_coco(matcher: CocoMatcher, counts_of_image: np.ndarray, key: str) -> np.ndarray:
    """Return (S,) values of `map`, `map50` or `map75` over samples of images."""
    matcher = matcher.all_sizes_only()
    summaries = (summarize(matcher.average_precision(counts)) for counts in counts_of_image)
    return np.array([s[key] if s[key] is not None else np.nan for s in summaries])


def interval(values: np.ndarray, *, samples_seed: int) -> dict[str, Any]:
    """Return the central interval of bootstrap values as a JSON object.

    Samples without any truth have no value (NaN) and are left out; with none left the limits are
    None.
    """
    tail = (1 - CONFIDENCE) / 2
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [tail, 1 - tail]).tolist() if len(known) else (None, None)
    return {
        "low": low,
        "high": high,
        "standard_error": float(known.std(ddof=1)) if len(known) > 1 else None,
        "confidence": CONFIDENCE,
        "samples": len(values),
        "seed": samples_seed,
    }


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
