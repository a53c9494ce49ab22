"""Training samples: decode, compose, augment; every random choice comes from the sample's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from data_tools.coco.dataset import CocoDataset
from models.engine.config.augment import complete_augment
from models.engine.data.augment.colour import distort, draw_distortion, draw_hsv_shifts, shift_hsv
from models.engine.data.augment.render import Layer, new_canvas, paint, place_boxes
from models.engine.data.augment.scene import Scene, SceneComposer
from models.engine.data.decode import Picture, PictureLoader
from models.engine.data.geometry import fit_scale, mirror, transform_boxes
from models.engine.data.randomness import Purpose, generator
from models.engine.data.sample import Sample, SampleKey
from models.engine.data.table import annotation_table


class TrainDataset(Dataset[Sample]):
    """Augmented samples of a COCO dataset.

    `dataset[key]` is a pure function of (seed, key): workers hold no random state.

    Args:
        coco: images and boxes; a box's `weight`, when it has one, becomes its loss weight.
        image_root: folder that file names are relative to.
        augment: the configuration's `augment` block, see `models.engine.config.augment`.
        image_size_wh: training size.
        seed: of the run, 0 or more.
        epochs: length of the run; augmentations close relative to its end.
        window: values of 16-bit pictures that become black and white.
    """

    def __init__(
        self,
        coco: CocoDataset,
        image_root: Path,
        augment: Mapping[str, Any],
        image_size_wh: tuple[int, int],
        seed: int,
        epochs: int,
        window: Sequence[int] | None = None,
    ) -> None:
        self.table = annotation_table(coco)
        self.augment = complete_augment(augment)
        self.image_size_wh = (int(image_size_wh[0]), int(image_size_wh[1]))
        self.seed = seed
        self.composer = SceneComposer(self.table, self.augment, self.image_size_wh, seed, epochs)
        self.loader = PictureLoader(self.table, image_root, self.augment["cache_mb"] << 20, window)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: SampleKey | tuple[int, ...]) -> Sample:
        key = SampleKey(*key)
        rng = generator(Purpose.SAMPLE, self.seed, key.epoch, key.index, key.repetition)
        scene = self.composer.compose(key, rng)
        pixels = self._recoloured(self._drawn(scene, key.epoch), rng)
        boxes, labels, weights = self._boxes(scene)
        if rng.random() < self.augment["flip"]:
            # The padding stays at the right and bottom: only the content is turned round.
            pixels = _flipped(pixels, scene.content_wh)
            boxes = transform_boxes(boxes, mirror(scene.content_wh[0]))
        if not pixels.flags.writeable:
            pixels = pixels.copy()
        return Sample(
            image=torch.from_numpy(pixels).permute(2, 0, 1),
            boxes_xyxy=torch.from_numpy(boxes),
            labels=torch.from_numpy(labels),
            weights=torch.from_numpy(weights),
            image_id=int(self.table.image_ids[key.index]),
            file_name=str(self.table.file_names[key.index]),
            source_images=self._source_images(scene),
            size_wh=scene.content_wh,
            original_size_wh=self.table.size_wh(key.index),
        )

    def _drawn(self, scene: Scene, epoch: int) -> np.ndarray:
        mixing = self.composer.mixes_images(epoch)
        if not mixing:
            self.loader.cache.clear()
        pixels = new_canvas(scene.canvas_wh, scene.fill_bgr)
        for layer in scene.layers:
            pixels = self._painted(pixels, layer, mixing)
        if scene.blended is None:
            return pixels
        second = new_canvas(scene.canvas_wh, self.composer.grey)
        return cv2.addWeighted(pixels, 0.5, self._painted(second, scene.blended, mixing), 0.5, 0)

    def _painted(self, canvas: np.ndarray, layer: Layer, mixing: bool) -> np.ndarray:
        if not layer.is_seen((canvas.shape[1], canvas.shape[0])):
            return canvas
        return paint(canvas, self._picture(layer, mixing), layer)

    def _picture(self, layer: Layer, mixing: bool) -> Picture:
        if not mixing:
            return self.loader.load(layer.index, layer.decode_scale)
        fit = fit_scale(self.table.size_wh(layer.index), self.image_size_wh)
        return self.loader.load_shared(
            layer.index,
            layer.decode_scale,
            kept_scale=fit * self.composer.partner_size,
            decode_scale=fit * self.composer.largest_size,
        )

    def _recoloured(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hsv, photometric = self.augment["hsv"], self.augment["photometric"]
        if rng.random() < photometric["probability"]:
            pixels = distort(pixels, **draw_distortion(rng, photometric))
        if rng.random() < hsv["probability"]:
            pixels = shift_hsv(pixels, draw_hsv_shifts(rng, hsv))
        return pixels

    def _boxes(self, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        layers = [*scene.layers, *([scene.blended] if scene.blended else [])]
        limits = {key: self.augment[key] for key in ("min_box_px", "min_visible")}
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for layer in layers:
            rows = self.table.rows(layer.index)
            boxes, keep = place_boxes(self.table.boxes_xyxy[rows], layer, scene.canvas_wh, **limits)
            labels, weights = self.table.labels[rows], self.table.weights[rows]
            parts.append((boxes[keep], labels[keep], weights[keep]))
        boxes, labels, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
        return boxes, labels, weights

    def _source_images(self, scene: Scene) -> tuple[str, ...]:
        layers = [*scene.layers, *([scene.blended] if scene.blended else [])]
        return tuple(str(self.table.file_names[layer.index]) for layer in layers)


def _flipped(pixels: np.ndarray, content_wh: tuple[int, int]) -> np.ndarray:
    width, height = content_wh
    if pixels.shape[1::-1] == content_wh:
        return cv2.flip(pixels, 1)
    flipped = pixels.copy()
    flipped[:height, :width] = cv2.flip(pixels[:height, :width], 1)
    return flipped
