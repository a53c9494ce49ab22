"""The drop-in functions against ensemble-boxes on thousands of drawn images.

    python -m benchmarks.fusion_parity [--images 5000] [--seed 0] [--quick]

The images have what breaks fusion code: tied scores, scores of 0, the same box twice, boxes outside
the image, inside out or without area, members without boxes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import ensemble_boxes
import numpy as np

from ensemble.one_image.nms import nms
from ensemble.one_image.nmw import non_maximum_weighted
from ensemble.one_image.soft_nms import soft_nms
from ensemble.one_image.wbf import weighted_boxes_fusion
from ensemble.settings import CONFIDENCE_TYPES

TOLERANCE = 1e-6


def main() -> None:
    """Print one row per function; end with status 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="100 images, for the tests")
    arguments = parser.parse_args()
    images = 100 if arguments.quick else arguments.images
    print("| function | images | divided by zero there | differing here | largest difference |")
    print("|---|---|---|---|---|")
    failed = False
    for name, (ours, reference, options) in functions().items():
        rng = np.random.default_rng(arguments.seed)
        undefined, differing, largest = compare(ours, reference, options, rng, images)
        failed |= differing > 0
        print(f"| {name} | {images} | {undefined} | {differing} | {largest:.1e} |")
    raise SystemExit(1 if failed else 0)


Options = Callable[[np.random.Generator, int], dict[str, Any]]


def functions() -> dict[str, tuple[Callable, Callable, Options]]:
    """Return name -> our function, the reference's, and how to draw their options."""

    def for_wbf(rng: np.random.Generator, members: int) -> dict[str, Any]:
        return {
            **for_nmw(rng, members),
            "conf_type": str(rng.choice(CONFIDENCE_TYPES)),
            "allows_overflow": bool(rng.integers(2)),
        }

    def for_nmw(rng: np.random.Generator, members: int) -> dict[str, Any]:
        return {**for_nms(rng, members), "skip_box_thr": float(rng.choice([0.0, 0.05]))}

    def for_nms(rng: np.random.Generator, members: int) -> dict[str, Any]:
        weights = rng.uniform(0.1, 5, members).tolist() if rng.integers(2) else None
        return {"weights": weights, "iou_thr": float(rng.choice([0.3, 0.5, 0.55, 0.6, 0.75]))}

    def for_soft_nms(rng: np.random.Generator, members: int) -> dict[str, Any]:
        return {**for_nms(rng, members), "method": int(rng.integers(1, 3))}

    def undecayed(*lists: Any, **options: Any) -> Any:
        return soft_nms(*lists, **options, decayed_scores=False)

    return {
        "weighted_boxes_fusion": (
            weighted_boxes_fusion,
            ensemble_boxes.weighted_boxes_fusion,
            for_wbf,
        ),
        "nms": (nms, ensemble_boxes.nms, for_nms),
        "soft_nms": (undecayed, ensemble_boxes.soft_nms, for_soft_nms),
        "non_maximum_weighted": (
            non_maximum_weighted,
            ensemble_boxes.non_maximum_weighted,
            for_nmw,
        ),
    }


def compare(
    ours: Callable, reference: Callable, options: Options, rng: np.random.Generator, images: int
) -> tuple[int, int, float]:
    """Return images with NaN in the reference, images that differ, and the largest difference."""
    undefined, differing, largest = 0, 0, 0.0
    for _ in range(images):
        lists = drawn_image(rng)
        chosen = options(rng, len(lists[0]))
        theirs = quietly(reference, lists, chosen)
        if np.isnan(theirs[0]).any():
            undefined += 1
            continue
        mine = ours(*lists, **chosen)
        if len(mine[0]) != len(theirs[0]) or (mine[2] != theirs[2]).any():
            differing += 1
            continue
        gap = max(np.abs(a - b).max(initial=0) for a, b in zip(mine[:2], theirs[:2], strict=True))
        largest, differing = max(largest, float(gap)), differing + (gap > TOLERANCE)
    return undefined, differing, largest


def quietly(reference: Callable, lists: tuple[list, ...], options: dict[str, Any]) -> Any:
    """Call the reference on copies, without what it prints and warns."""
    copies = [[array.copy() for array in column] for column in lists]
    silence = contextlib.redirect_stdout(io.StringIO())
    with silence, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return reference(*copies, **options)


def drawn_image(rng: np.random.Generator) -> tuple[list, list, list]:
    """Return lists of boxes, scores and labels of one to six members."""
    centres = rng.uniform(0, 1, (5, 2))
    members = []
    for _ in range(rng.integers(1, 7)):
        size = int(rng.choice([0, 3, 10, 40]))
        middle = centres[rng.integers(0, 5, size)] + rng.normal(0, 0.03, (size, 2))
        half = rng.uniform(0.01, 0.2, (size, 2))
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        if rng.integers(3) == 0:
            boxes = np.round(boxes * 16) / 16  # equal boxes, boxes without area
        turned = rng.random(size) < 0.03
        boxes[turned] = boxes[turned][:, [2, 3, 0, 1]]
        scores = rng.random(size)
        if rng.integers(3) == 0:
            scores = np.round(scores * 10) / 10  # ties and zeros
        members.append((boxes, scores, rng.integers(0, 3, size)))
    if rng.integers(4) == 0:
        members.append(members[0])
    # The functions of the NMS family fail in the reference when no box at all is left.
    anchor = np.array([[0.4, 0.4, 0.6, 0.6]])
    members.append((anchor, np.array([rng.uniform(0.1, 1)]), np.array([0])))
    return tuple(list(column) for column in zip(*members, strict=True))


if __name__ == "__main__":
    main()
