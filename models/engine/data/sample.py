"""What a dataset hands to the training loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch


class SampleKey(NamedTuple):
    """Names one training sample; the sample is a function of this key and the seed alone.

    Attributes:
        epoch: 0 for the first.
        index: position of the image in the dataset.
        repetition: which showing of that image within the epoch.
        batch: number of the global batch within the epoch; a batch shares one multi-scale size.
        pool: positions of the images that mosaic and mixup may draw from; empty means all.
    """

    epoch: int
    index: int  # type: ignore[assignment]  # hides a method of tuples that nobody needs here
    repetition: int = 0
    batch: int = 0
    pool: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One training picture.

    Attributes:
        image: (3, H, W) uint8, channels in the order blue, green, red.
        boxes_xyxy: (n, 4) float32 pixels of `image`.
        labels: (n,) int64, class indices 0..C-1 in the order of the categories.
        weights: (n,) float32, the boxes' weights in the loss.
        image_id: COCO id of the first source image.
        file_name: file name of the first source image.
        source_images: file names of all images that were composed, the first one first.
        size_wh: width and height of the part of `image` that is not padding at its right and
            bottom.
        original_size_wh: width and height of the first source image's file.
    """

    image: torch.Tensor
    boxes_xyxy: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    image_id: int
    file_name: str
    source_images: tuple[str, ...]
    size_wh: tuple[int, int]
    original_size_wh: tuple[int, int]

    def pin_memory(self) -> Sample:
        """Return the sample with its image in page-locked memory (called by `DataLoader`)."""
        return replace(self, image=self.image.pin_memory())
