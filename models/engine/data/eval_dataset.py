"""Images for prediction, each in one named view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from data_tools.coco.dataset import CocoDataset
from models.engine.data.decode import PictureLoader
from models.engine.data.geometry import fitted_size
from models.engine.data.resample import resize
from models.engine.data.table import annotation_table
from models.engine.data.views import View, boxes_from_view, parse_view, view_pixels, view_size


@dataclass(frozen=True)
class EvalSample:
    """One picture to predict.

    Attributes:
        image: (3, H, W) uint8, channels in the order blue, green, red.
        image_id: COCO id.
        file_name: relative to the image root.
        original_size_wh: width and height of the image file.
        resized_wh: width and height after scaling, before the view's turn and any padding.
        size_wh: width and height of the part of `image` that is not padding at its right and
            bottom.
        view: how the image is shown.
    """

    image: torch.Tensor
    image_id: int
    file_name: str
    original_size_wh: tuple[int, int]
    resized_wh: tuple[int, int]
    size_wh: tuple[int, int]
    view: View

    def boxes_to_original(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Map (N, 4) boxes in pixels of `image` to (N, 4) float64 pixels of the image file."""
        return boxes_from_view(boxes_xyxy, self.view, self.original_size_wh, self.resized_wh)


class EvalDataset(Dataset[EvalSample]):
    """Images in file order, resized as in training, without any random choice.

    Args:
        coco: the images; boxes are not read.
        image_root: folder that file names are relative to.
        image_size_wh: size that the model was trained with.
        view: name of a view, see `models.engine.data.views.parse_view`.
        resize_mode: `keep_ratio`, `letterbox` or `stretch`, as in training.
        pad_value: grey level of the letterbox.
        window: values of 16-bit pictures that become black and white.
    """

    def __init__(
        self,
        coco: CocoDataset,
        image_root: Path,
        image_size_wh: tuple[int, int],
        *,
        view: str = "plain",
        resize_mode: str = "keep_ratio",
        pad_value: int = 114,
        window: Sequence[int] | None = None,
    ) -> None:
        self.view = parse_view(view)
        self.table = annotation_table(coco)
        scaled = [max(1, int(side * self.view.scale + 0.5)) for side in image_size_wh]
        self.target_wh = (scaled[0], scaled[1])
        self.resize_mode, self.pad_value = resize_mode, pad_value
        self.loader = PictureLoader(self.table, image_root, cache_bytes=0, window=window)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> EvalSample:
        size_wh = self.table.size_wh(index)
        resized_wh = fitted_size(size_wh, self.target_wh, keep_ratio=self.resize_mode != "stretch")
        factor = resized_wh[0] / size_wh[0], resized_wh[1] / size_wh[1]
        picture = self.loader.load(index, max(factor))
        pixels = view_pixels(resize(picture.pixels, resized_wh), self.view)
        if self.resize_mode == "letterbox":
            pixels = pad_to(pixels, view_size(self.target_wh, self.view), self.pad_value)
        return EvalSample(
            image=torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            image_id=int(self.table.image_ids[index]),
            file_name=str(self.table.file_names[index]),
            original_size_wh=size_wh,
            resized_wh=resized_wh,
            size_wh=view_size(resized_wh, self.view),
            view=self.view,
        )


def pad_to(pixels: np.ndarray, size_wh: tuple[int, int], value: int) -> np.ndarray:
    """Return an (H, W, 3) image filled up at the right and bottom to the given size."""
    height, width = pixels.shape[:2]
    right, bottom = size_wh[0] - width, size_wh[1] - height
    grey = (value, value, value)
    return cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=grey)
