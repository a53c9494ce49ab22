"""Training samples: decode, compose, augment; every random choice comes from the sample's key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from data_tools.coco import CocoDataset
from models.data.decode import PictureLoader
from models.data.geometry import clip_and_keep, fitted_size, mirror, scaling, transform_boxes
from models.data.sample import Sample, SampleKey
from models.data.settings import complete_augment
from models.data.table import annotation_table


class TrainDataset(Dataset[Sample]):
    """Augmented samples of a COCO dataset.

    `dataset[key]` is a pure function of (seed, key): workers hold no random state.

    Args:
        coco: images and boxes; a box's `weight`, when it has one, becomes its loss weight.
        image_root: folder that file names are relative to.
        augment: the configuration's `augment` block, see `models.data.settings`.
        image_size_wh: training size.
        seed: of the run, 0 or more.
        epochs: length of the run; augmentations close relative to its end.
    """

    def __init__(
        self,
        coco: CocoDataset,
        image_root: Path,
        augment: Mapping[str, Any],
        image_size_wh: tuple[int, int],
        seed: int,
        epochs: int,
    ) -> None:
        self.table = annotation_table(coco)
        self.augment = complete_augment(augment)
        self.image_size_wh = (int(image_size_wh[0]), int(image_size_wh[1]))
        self.seed, self.epochs = seed, epochs
        self.loader = PictureLoader(self.table, image_root, self.augment["cache_mb"] << 20)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: SampleKey | tuple[int, ...]) -> Sample:
        key = SampleKey(*key)
        rng = np.random.default_rng((self.seed, key.epoch, key.index, key.repetition))
        return self._plain(key, rng)

    def _plain(self, key: SampleKey, rng: np.random.Generator) -> Sample:
        table, target_wh = self.table, self.image_size_wh
        size_wh = table.size_wh(key.index)
        mode = self.augment["resize"]["mode"]
        new_wh = fitted_size(size_wh, target_wh, keep_ratio=mode != "stretch")
        scale_xy = new_wh[0] / size_wh[0], new_wh[1] / size_wh[1]
        picture = self.loader.load(key.index, max(scale_xy))
        pixels = cv2.resize(picture.pixels, new_wh, interpolation=cv2.INTER_LINEAR)
        matrix = scaling(*scale_xy)
        if rng.random() < self.augment["flip"]:
            pixels, matrix = pixels[:, ::-1], mirror(new_wh[0]) @ matrix
        rows = table.rows(key.index)
        boxes, keep = clip_and_keep(transform_boxes(table.boxes_xyxy[rows], matrix), new_wh)
        return Sample(
            image=torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            boxes_xyxy=torch.from_numpy(boxes[keep]),
            labels=torch.from_numpy(table.labels[rows][keep]),
            weights=torch.from_numpy(table.weights[rows][keep]),
            image_id=int(table.image_ids[key.index]),
            file_name=str(table.file_names[key.index]),
            source_images=(str(table.file_names[key.index]),),
            size_wh=new_wh,
            original_size_wh=size_wh,
        )
