"""Search fusion settings on validation truth, and say what the gain is worth on unseen images."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from ensemble.fuse import check_number_of_weights, fuse_members, leaking_members
from ensemble.members import Member, on_images
from ensemble.settings import CONFIDENCE_TYPES, ConfidenceType, FusionSettings

IOU_RANGE = (0.3, 0.8)
SKIPS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.05, 0.1)
WEIGHT_RANGE = (0.25, 4.0)
# Share of the trials that look anywhere; the rest change one thing of the best so far.
EXPLORING = 0.4

Evaluate = Callable[[FusionSettings], float]


@dataclass(frozen=True)
class Tuned:
    """Result of a search.

    Attributes:
        settings: the best settings on all images.
        baseline: score of the settings that the search started from.
        score: score of the best settings, on the very images they were chosen on: optimistic.
        held_out_gain: mean gain over the baseline when settings are chosen on one half of the
            images and scored on the other; the gain to expect on new images.
        trials: settings tried in each search.
        seed: of the search and the halves.
        leaked: member name -> why the scores mean little with it.
    """

    settings: FusionSettings
    baseline: float
    score: float
    held_out_gain: float
    trials: int
    seed: int
    leaked: dict[str, str]


def tune(
    members: Sequence[Member],
    truth: CocoDataset,
    start: FusionSettings,
    *,
    trials: int = 60,
    seed: int = 0,
    allow_leak: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Tuned:
    """Search IoU threshold, skip threshold, confidence type and weights for the best mAP50.

    Args:
        members: predictions on the images of `truth`.
        truth: validation annotations; no member may have been trained on its images.
        start: the baseline; its method is kept.
        trials: settings to try, for the search on all images and for each half.
        seed: of the search and of the halves.
        allow_leak: search although members were trained on the images.
        progress: called with 1 after each trial, `3 * trials` in all.

    Raises:
        UserError: a leak, fewer than two images, or too few trials.
    """
    leaked = leaking_members(members, truth)
    if leaked and not allow_leak:
        name, reason = next(iter(leaked.items()))
        raise UserError(
            f"{len(leaked)} of {len(members)} members leak, the first is {name}: {reason}",
            where=truth.source,
            expected="validation images that no member has seen",
            next_step="tune on another fold, or give --allow-leak for a score that means little",
        )
    if trials < 1 or len(truth.images) < 2:
        raise UserError(
            f"{trials} trials on {len(truth.images)} images", expected="1 and 2 at least"
        )
    check_number_of_weights(members, start)
    halves = split_in_halves(truth, seed)
    parts = [_evaluator(members, truth, half) for half in halves]
    gains = []
    for chosen_on, scored_on in [(0, 1), (1, 0)]:
        best, _ = search(parts[chosen_on], start, len(members), trials, seed, progress)
        gains.append(parts[scored_on](best) - parts[scored_on](start))
    evaluate = _evaluator(members, truth, truth.image_ids)
    best, score = search(evaluate, start, len(members), trials, seed, progress)
    return Tuned(
        settings=best,
        baseline=evaluate(start),
        score=score,
        held_out_gain=sum(gains) / len(gains),
        trials=trials,
        seed=seed,
        leaked=leaked,
    )


def search(
    evaluate: Evaluate,
    start: FusionSettings,
    members: int,
    trials: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[FusionSettings, float]:
    """Return the best of `trials` settings and its score; never below the start's."""
    generator = random.Random(seed)
    best, best_score = start, evaluate(start)
    for trial in range(trials):
        if trial < EXPLORING * trials:
            candidate = random_settings(generator, start, members)
        else:
            candidate = neighbour(generator, best, members)
        score = evaluate(candidate)
        if score > best_score:
            best, best_score = candidate, score
        if progress:
            progress(1)
    return best, best_score


def random_settings(
    generator: random.Random, start: FusionSettings, members: int
) -> FusionSettings:
    """Return settings drawn from the whole space, of the method of `start`."""
    weights = tuple(_random_weight(generator) for _ in range(members))
    return replace(
        start,
        iou=round(generator.uniform(*IOU_RANGE), 2),
        skip=generator.choice(SKIPS),
        confidence=_random_confidence(generator, start),
        weights=weights,
    )


def neighbour(generator: random.Random, best: FusionSettings, members: int) -> FusionSettings:
    """Return settings that differ from `best` in one thing."""
    change = generator.choice(["iou", "skip", "confidence", "weight", "weight"])
    if change == "iou":
        iou = min(max(best.iou + generator.uniform(-0.08, 0.08), IOU_RANGE[0]), IOU_RANGE[1])
        return replace(best, iou=round(iou, 2))
    if change == "skip":
        return replace(best, skip=generator.choice(SKIPS))
    if change == "confidence":
        return replace(best, confidence=_random_confidence(generator, best))
    weights = list(best.weights or (1.0,) * members)
    number = generator.randrange(members)
    moved = weights[number] * math.exp(generator.uniform(-0.7, 0.7))
    weights[number] = round(min(max(moved, WEIGHT_RANGE[0]), WEIGHT_RANGE[1]), 2)
    return replace(best, weights=tuple(weights))


def split_in_halves(truth: CocoDataset, seed: int) -> list[np.ndarray]:
    """Return the image ids of two random halves."""
    shuffled = np.random.default_rng(seed).permutation(truth.image_ids)
    middle = len(shuffled) // 2
    return [np.sort(shuffled[:middle]), np.sort(shuffled[middle:])]


def _random_confidence(generator: random.Random, settings: FusionSettings) -> ConfidenceType:
    drawn = generator.choice(CONFIDENCE_TYPES)
    return drawn if settings.method == "wbf" else settings.confidence  # others do not use it


def _random_weight(generator: random.Random) -> float:
    low, high = (math.log(value) for value in WEIGHT_RANGE)
    return round(math.exp(generator.uniform(low, high)), 2)


def _evaluator(members: Sequence[Member], truth: CocoDataset, image_ids: np.ndarray) -> Evaluate:
    """Return a function that fuses and scores on some of the images."""
    from scoring.metrics.competition import CompetitionMatcher

    part = truth.subset(image_ids)
    own = [replace(m, predictions=on_images(m.predictions, image_ids)) for m in members]

    def evaluate(settings: FusionSettings) -> float:
        fused = fuse_members(own, part, settings).predictions
        matcher = CompetitionMatcher.from_predictions(fused, part)
        return float(np.nanmean(matcher.average_precision()))

    return evaluate
