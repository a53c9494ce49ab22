"""Boxes whose four numbers are not what their format says: sides for a corner, or the reverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows

BoxNumbers = Literal["xyxy", "xywh"]
NAMES = {"xyxy": "[xmin, ymin, xmax, ymax]", "xywh": "[xmin, ymin, width, height]"}
# In few boxes it could be chance that another reading fits better.
FEWEST_BOXES = 20
LARGEST_FIT_AS_FILED = 0.95
SMALLEST_FIT_OTHERWISE = 0.99
# Detectors pass the edge of the image a little.
OUTSIDE_SHARE = 0.05


@dataclass(frozen=True)
class Misread:
    """Boxes that fit their images if the four numbers are read otherwise.

    Attributes:
        numbers: how they are to be read.
        boxes_xyxy: (N, 4) corners, read so.
        sides_wh: (N, 2) widths and heights, where the numbers state them.
        unfit_as_filed: (N,) bool, boxes without area or out of their image as the file has them.
        fit_otherwise: boxes that have an area and lie in their image when read so.
    """

    numbers: BoxNumbers
    boxes_xyxy: np.ndarray
    sides_wh: np.ndarray | None
    unfit_as_filed: np.ndarray
    fit_otherwise: int

    @property
    def text(self) -> str:
        """What is wrong, in words."""
        filed: BoxNumbers = "xyxy" if self.numbers == "xywh" else "xywh"
        return (
            f"{int(self.unfit_as_filed.sum())} of {len(self.unfit_as_filed)} boxes have no area or "
            f"lie partly outside their image as {NAMES[filed]}, and {self.fit_otherwise} fit as "
            f"{NAMES[self.numbers]}"
        )


class MisreadBoxes(UserError):
    """A file is refused because its boxes fit when read otherwise.

    Attributes:
        read_otherwise: returns the predictions, read so.
    """

    def __init__(
        self, misread: Misread, path: Path, read_otherwise: Callable[[], Predictions]
    ) -> None:
        super().__init__(
            misread.text,
            where=path,
            expected="four numbers as the format has them",
            next_step=repair_advice(misread.numbers),
        )
        self.read_otherwise = read_otherwise


def repair_advice(numbers: BoxNumbers) -> str:
    """Return what to do about it."""
    return (
        f"`python -m data_tools convert FILE --from predictions --boxes {numbers} --images "
        "COCO.json --out repaired.parquet`, then `submit write`"
    )


def read_as(
    numbers: BoxNumbers, boxes_xyxy: np.ndarray, sides_wh: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return corners, and sides where the numbers are those, for numbers that are as stated.

    Args:
        numbers: what the four numbers of a box are.
        boxes_xyxy: (N, 4) corners as the format has them.
        sides_wh: (N, 2) widths and heights if the format has those, else None.
    """
    if numbers == ("xyxy" if sides_wh is None else "xywh"):
        return boxes_xyxy, sides_wh
    first = boxes_xyxy[:, :2]
    if sides_wh is None:
        sides = boxes_xyxy[:, 2:]
        return np.concatenate([first, first + sides], axis=1), sides
    return np.concatenate([first, sides_wh], axis=1), None


def misread(
    boxes_xyxy: np.ndarray, sides_wh: np.ndarray | None, sizes_wh: np.ndarray
) -> Misread | None:
    """Return the other reading if at least 20 boxes fit their images so and do not as filed.

    As filed at most 95 % fit, otherwise at least 99 %.

    Args:
        boxes_xyxy, sides_wh: as in `read_as`; numbers may be anything.
        sizes_wh: (N, 2) size of each box's image in pixels.
    """
    fits = _fit(boxes_xyxy, sizes_wh)
    if len(fits) < FEWEST_BOXES or fits.mean() > LARGEST_FIT_AS_FILED:
        return None
    numbers: BoxNumbers = "xywh" if sides_wh is None else "xyxy"
    other_boxes, other_sides = read_as(numbers, boxes_xyxy, sides_wh)
    fits_otherwise = _fit(other_boxes, sizes_wh)
    if fits_otherwise.mean() < SMALLEST_FIT_OTHERWISE:
        return None
    return Misread(numbers, other_boxes, other_sides, ~fits, int(fits_otherwise.sum()))


def predictions_as_filed(
    path: Path,
    dataset: CocoDataset,
    row_image_ids: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    boxes_xyxy: np.ndarray,
    stated_sides_wh: np.ndarray | None = None,
    numbers: BoxNumbers | None = None,
) -> Predictions:
    """Build the predictions of a file in its order; a broken row's message names the file.

    Args:
        path: the file.
        dataset: the images that it is about.
        row_image_ids, labels, scores, boxes_xyxy, stated_sides_wh: as in `predictions_from_rows`.
        numbers: what the four numbers of a box are; None: what the format says they are.

    Raises:
        UserError: a row of an unknown image, or that breaks the contract of `Predictions`.
        MisreadBoxes: nobody said what the numbers are, and they fit otherwise only.
    """

    def build(boxes_xyxy: np.ndarray, sides_wh: np.ndarray | None) -> Predictions:
        try:
            return predictions_from_rows(
                dataset.image_ids,
                row_image_ids,
                labels,
                scores,
                boxes_xyxy,
                provenance=Provenance(dataset=dataset.fingerprint, run=path.name.split(".")[0]),
                row_order="file",
                stated_sides_wh=sides_wh,
            )
        except UserError as error:
            where = f"{path}, {error.where}" if error.where else path
            raise UserError(
                error.what, where=where, expected=error.expected, next_step=error.next_step
            ) from None

    if numbers:
        return build(*read_as(numbers, boxes_xyxy, stated_sides_wh))
    if not np.isin(row_image_ids, dataset.image_ids).all():
        return build(boxes_xyxy, stated_sides_wh)  # refuses them
    order = np.argsort(dataset.image_ids)
    image_of_row = order[np.searchsorted(dataset.image_ids, row_image_ids, sorter=order)]
    found = misread(boxes_xyxy, stated_sides_wh, dataset.sizes_wh[image_of_row])
    if found:
        raise MisreadBoxes(found, path, lambda: build(found.boxes_xyxy, found.sides_wh))
    return build(boxes_xyxy, stated_sides_wh)


def _fit(boxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Return an (N,) mask of boxes with an area that lie in their image, or nearly."""
    slack = OUTSIDE_SHARE * sizes_wh
    has_area = boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]
    inside = (boxes_xyxy[:, :2] >= -slack) & (boxes_xyxy[:, 2:] <= sizes_wh + slack)
    return np.all(has_area & inside, axis=1)
