"""Make a submission smaller: a score floor, a cap per image, fewer decimals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.predictions.table import Predictions


@dataclass(frozen=True)
class Trim:
    """What to leave out of a submission; None leaves everything.

    Attributes:
        score_floor: boxes scored below it are dropped.
        max_per_image: only that many boxes of an image are kept, best scores first.
        score_digits, coordinate_digits: decimals printed.
    """

    score_floor: float = 0.0
    max_per_image: int | None = None
    score_digits: int | None = None
    coordinate_digits: int | None = None

    def options(self) -> str:
        """Return the options of `submit write` that do this."""
        parts = []
        if self.score_floor:
            single = np.float32(self.score_floor)
            # A score of a float32 file prints short; any other must not be rounded up past itself.
            floor = str(single) if float(single) == self.score_floor else repr(self.score_floor)
            parts.append(f"--score-floor {floor}")
        if self.max_per_image is not None:
            parts.append(f"--max-per-image {self.max_per_image}")
        if self.score_digits is not None:
            parts.append(f"--score-digits {self.score_digits}")
        if self.coordinate_digits is not None:
            parts.append(f"--coordinate-digits {self.coordinate_digits}")
        return " ".join(parts)


def kept_by(trim: Trim, predictions: Predictions) -> np.ndarray:
    """Return an (N,) mask of the boxes that stay; `predictions` must be sorted by score."""
    keep = predictions.reaches(trim.score_floor)
    if trim.max_per_image is not None:
        keep &= rank_in_image(predictions) < trim.max_per_image
    return keep


def rank_in_image(predictions: Predictions) -> np.ndarray:
    """Return the (N,) place of each row within its image, from 0."""
    return np.arange(len(predictions)) - predictions.offsets[:-1][predictions.image_index_of_row]


def trimmed(predictions: Predictions, trim: Trim) -> Predictions:
    """Return the boxes that stay, in descending order of score, with every image still listed."""
    predictions = predictions.sorted_by_score()
    return predictions.filtered(kept_by(trim, predictions))
