"""Do the intervals over images say what they claim? Simulated detectors whose scores are known.

    python -m benchmarks.intervals [--quick]

Two detectors of equal skill look at a large population of images. Validation sets are drawn from
it. Each gives an interval of the first detector's score, which should hold its score on the whole
population 95 times in 100, and one of the difference, which should hold the population's own
difference 95 times in 100 and exclude zero 5 times in 100.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

from benchmarks.machine import machine_line
from data_tools.coco.dataset import coco_from_dict
from data_tools.predictions.table import predictions_from_rows
from scoring.uncertainty.bootstrap import OVERALL, ImageScorer, bootstrap_values, image_samples
from scoring.uncertainty.intervals import FEWEST_IMAGES, Interval, percentile_interval

# Boxes per class of the competition's training images.
CLASS_COUNTS = np.array([3966, 6352, 897, 936, 982, 2943, 1263, 5178, 159, 468], dtype=float)
SIDE, COLUMNS, MOST_TRUTH = 900, 40, 30
IMAGE_BANDS = (
    (1, FEWEST_IMAGES - 1),
    (FEWEST_IMAGES, 10),
    (11, 15),
    (16, 25),
    (26, 50),
    (51, 10_000),
)


class Boxes(NamedTuple):
    """(N,) image, label, score and place in the image's grid of boxes that never overlap."""

    images: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    places: np.ndarray


def main() -> None:
    """Print one table per size of the validation set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws, for the tests")
    quick = parser.parse_args().quick
    print(machine_line())
    sizes = ((60, 20),) if quick else ((114, 600), (981, 200))
    for images, draws in sizes:
        print_coverage(images, draws, population=2000 if quick else 60_000)


def print_coverage(images: int, draws: int, population: int) -> None:
    """Print how often intervals hold the true difference and how often they exclude zero."""
    truth, first, second = draw_population(population)
    whole = np.stack(
        [scorer.values() for scorer in scorers(np.arange(population), truth, first, second)]
    )
    true = {"score": whole[0], "difference": whole[1] - whole[0]}
    generator = np.random.default_rng(0)
    found: dict[str, list[tuple[float, ...]]] = {"score": [], "difference": []}
    for _ in range(draws):
        chosen = np.sort(generator.choice(population, images, replace=False))
        pair = scorers(chosen, truth, first, second)
        weights = image_samples(images, 400, seed=0)
        resampled = [bootstrap_values([scorer], weights) for scorer in pair]
        behind = pair[0].images_with_truth
        for of, values in (("score", resampled[0]), ("difference", resampled[1] - resampled[0])):
            found[of] += _told_of_columns(values, behind, true[of])
    for of, told in found.items():
        _print_table(of, images, draws, np.array(told, dtype=float))


def _told_of_columns(
    values: np.ndarray, behind: np.ndarray, true: np.ndarray
) -> list[tuple[float, ...]]:
    """Per metric: whether it is the overall one, its images, and what both intervals say."""
    rows = []
    for column in (0, *range(len(OVERALL), values.shape[1])):
        of_column = values[:, column]
        if not np.isnan(of_column).all():
            ours = percentile_interval(of_column, int(behind[column]))
            plain = Interval(*np.nanquantile(of_column, [0.025, 0.975]))
            told = (*_told(ours, true[column]), *_told(plain, true[column]))
            rows.append((column == 0, behind[column], *told))
    return rows


def _print_table(of: str, images: int, draws: int, found: np.ndarray) -> None:
    print(f"\n{draws} validation sets of {images} images")
    names = ["hold the truth", "exclude zero", "plain: hold", "exclude"]
    overall, of_image, *columns = found.T
    if of == "score":  # that a score is above zero says nothing
        names, columns = names[::2], columns[::2]
    print(f"| {of} of | intervals | {' | '.join(names)} |")
    print("|---" * (len(names) + 2) + "|")
    rows = [("competition mAP50", overall == 1)]
    rows += [
        (f"one class, truth in {low} to {high} images", (overall == 0) & inside)
        for low, high in IMAGE_BANDS
        for inside in [(of_image >= low) & (of_image <= high)]
    ]
    for name, mask in rows:
        if mask.any():
            shares = [f"{c[mask].mean():.3f}".replace("nan", "none") for c in columns]
            print(f"| {name} | {mask.sum()} | {' | '.join(shares)} |")


def _told(interval: Interval | None, true: float) -> tuple[float, float]:
    """Return whether an interval holds the truth and excludes zero; NaN without one."""
    if interval is None:
        return np.nan, np.nan
    return float(interval.low <= true <= interval.high), float(interval.excludes_zero())


def draw_population(images: int) -> tuple[Boxes, Boxes, Boxes]:
    """Return truth and the boxes of two detectors that find the same things hard."""
    rng = np.random.default_rng(5)
    shares = CLASS_COUNTS / CLASS_COUNTS.sum()
    counts = np.minimum(1 + rng.geometric(0.25, images), MOST_TRUTH)
    owner = np.repeat(np.arange(images), counts)
    main_class = rng.choice(len(shares), images, p=shares)[owner]
    other_class = rng.choice(len(shares), len(owner), p=shares)
    labels = np.where(rng.random(len(owner)) < 0.5, main_class, other_class)
    places = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    truth = Boxes(owner, labels, np.ones(len(owner)), places)
    hardness = rng.normal(0, 0.8, images)[owner] + rng.normal(0, 0.7, len(owner))
    return truth, *(_detected(truth, hardness, images, shares, rng) for _ in range(2))


def _detected(
    truth: Boxes, hardness: np.ndarray, images: int, shares: np.ndarray, rng: np.random.Generator
) -> Boxes:
    strength = 0.6 - hardness + rng.normal(0, 0.8, len(hardness))
    seen = strength > 0
    false_counts = rng.poisson(6, images)
    false_owner = np.repeat(np.arange(images), false_counts)
    strengths = [
        strength[seen] + rng.normal(0, 0.6, seen.sum()),
        rng.normal(-0.8, 1, len(false_owner)),
    ]
    first = np.cumsum(false_counts) - false_counts
    false_places = MOST_TRUTH + np.arange(len(false_owner)) - np.repeat(first, false_counts)
    return Boxes(
        np.concatenate([truth.images[seen], false_owner]),
        np.concatenate([truth.labels[seen], rng.choice(len(shares), len(false_owner), p=shares)]),
        1 / (1 + np.exp(-np.concatenate(strengths))),
        np.concatenate([truth.places[seen], false_places]),
    )


def scorers(chosen: np.ndarray, truth: Boxes, first: Boxes, second: Boxes) -> list[ImageScorer]:
    """Return both detectors matched with the truth of the chosen images."""
    part = _of_images(truth, chosen)
    corners = _corners(part.places)
    dataset = coco_from_dict(
        {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "width": SIDE, "height": SIDE}
                for i in range(len(chosen))
            ],
            "annotations": [
                {"id": n, "image_id": image, "category_id": label, "bbox": [*corner, 18, 18]}
                for n, (image, label, corner) in enumerate(
                    zip(part.images.tolist(), part.labels.tolist(), corners.tolist(), strict=True),
                    start=1,
                )
            ],
            "categories": [{"id": i, "name": str(i)} for i in range(len(CLASS_COUNTS))],
        }
    )
    found = []
    for boxes in (_of_images(first, chosen), _of_images(second, chosen)):
        corners = _corners(boxes.places)
        predictions = predictions_from_rows(
            dataset.image_ids,
            boxes.images,
            boxes.labels,
            boxes.scores,
            np.concatenate([corners, corners + 18], axis=1),
        )
        found.append(ImageScorer.from_predictions(predictions, dataset, with_coco=False))
    return found


def _of_images(boxes: Boxes, chosen: np.ndarray) -> Boxes:
    """Return the boxes of the chosen images, ascending, numbered by their place among these."""
    index = np.minimum(np.searchsorted(chosen, boxes.images), len(chosen) - 1)
    kept = chosen[index] == boxes.images
    return Boxes(index[kept], boxes.labels[kept], boxes.scores[kept], boxes.places[kept])


def _corners(places: np.ndarray) -> np.ndarray:
    return np.stack([places % COLUMNS, places // COLUMNS], axis=1) * 20.0


if __name__ == "__main__":
    main()
