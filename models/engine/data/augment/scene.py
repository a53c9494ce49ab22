"""From a sample's key to the layers of its picture: every random choice about geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.engine.data.augment.affine import draw_affine
from models.engine.data.augment.crop import Window, expanded_window, min_iou_window
from models.engine.data.augment.mosaic import (
    draw_mosaic_centre,
    draw_partners,
    mixup_layer,
    small_mosaic,
    warped_mosaic,
)
from models.engine.data.augment.render import Layer
from models.engine.data.geometry import fitted_size, scaling, translation
from models.engine.data.randomness import Purpose, generator
from models.engine.data.sample import SampleKey
from models.engine.data.table import AnnotationTable

MULTI_SCALE_DIVISOR = 32


@dataclass(frozen=True)
class Scene:
    """What a picture is composed of, before any file is read.

    Attributes:
        canvas_wh: size of the picture.
        content_wh: part of it that is not padding at the right and bottom.
        layers: images drawn one over the other.
        fill_bgr: colour where no image is.
        blended: image that is blended in, half and half, on a canvas of its own.
    """

    canvas_wh: tuple[int, int]
    content_wh: tuple[int, int]
    layers: Sequence[Layer]
    fill_bgr: tuple[int, int, int]
    blended: Layer | None = None


class SceneComposer:
    """Draws scenes.

    Args:
        table: the dataset.
        augment: the complete `augment` block.
        image_size_wh: training size.
        seed: of the run.
        epochs: length of the run.
    """

    def __init__(
        self,
        table: AnnotationTable,
        augment: Mapping[str, Any],
        image_size_wh: tuple[int, int],
        seed: int,
        epochs: int,
    ) -> None:
        self.table, self.augment, self.image_size_wh = table, augment, image_size_wh
        self.seed = seed
        self.open_epochs = epochs - augment["close_mosaic_epochs"]
        self.grey = (augment["resize"]["pad_value"],) * 3

    def mixes_images(self, epoch: int) -> bool:
        """Return whether images of this epoch are drawn as partners of others."""
        some = self.augment["mosaic"] > 0 or self.augment["mixup"] > 0
        return some and epoch < self.open_epochs

    @property
    def partner_size(self) -> float:
        """Size of an image where it is a partner of others, relative to the training size."""
        whole = self.augment["mixup"] > 0 or self.augment["affine"]["probability"] > 0
        return 1.0 if whole else 0.5

    @property
    def largest_size(self) -> float:
        """Size of an image where it is largest, relative to the training size."""
        return 1.0 if self.augment["mosaic"] < 1 else self.partner_size

    def compose(self, key: SampleKey, rng: np.random.Generator) -> Scene:
        """Draw the scene of a key."""
        augment, is_open = self.augment, key.epoch < self.open_epochs
        target_wh = self.target_size(key)
        with_mosaic = rng.random() < augment["mosaic"] and is_open
        with_affine = rng.random() < augment["affine"]["probability"] and is_open
        with_mixup = rng.random() < augment["mixup"] and is_open
        if with_mosaic:
            scene = self._mosaic(key, rng, target_wh, with_affine=with_affine)
        else:
            scene = self._single(key, rng, target_wh, with_affine=with_affine)
        return self._with_mixup(scene, key, rng, target_wh) if with_mixup else scene

    def target_size(self, key: SampleKey) -> tuple[int, int]:
        """Return the training size of a key's batch; all samples of a batch have the same."""
        low, high = self.augment["multi_scale"]
        if low == high == 1:
            return self.image_size_wh
        rng = generator(Purpose.MULTI_SCALE, self.seed, key.epoch, key.batch)
        width, height = self.image_size_wh
        step = MULTI_SCALE_DIVISOR
        first = max(1, int(np.ceil(low * height / step - 1e-9)))
        last = max(first, int(high * height / step + 1e-9))
        new_height = step * int(rng.integers(first, last, endpoint=True))
        return max(step, round(width * new_height / height / step) * step), new_height

    def _single(
        self,
        key: SampleKey,
        rng: np.random.Generator,
        target_wh: tuple[int, int],
        *,
        with_affine: bool,
    ) -> Scene:
        mode = self.augment["resize"]["mode"]
        size_wh = self.table.size_wh(key.index)
        window, fill = self._window(key.index, rng)
        whole = window.xyxy == (0, 0, *size_wh)
        new_wh = fitted_size(window.size_wh, target_wh, keep_ratio=mode != "stretch")
        canvas_wh = target_wh if mode == "letterbox" or with_affine else new_wh
        content_wh = target_wh if with_affine else new_wh
        if whole and not with_affine:
            layers = [Layer.resized(key.index, size_wh, (0, 0), new_wh)]
            return Scene(canvas_wh, content_wh, layers, fill)
        factor = new_wh[0] / window.size_wh[0], new_wh[1] / window.size_wh[1]
        matrix = scaling(*factor) @ translation(-window.xyxy[0], -window.xyxy[1])
        if with_affine:
            matrix = draw_affine(rng, self.augment["affine"], canvas_wh) @ matrix
        low = np.maximum(window.xyxy[:2], 0).tolist()
        high = np.minimum(window.xyxy[2:], size_wh).tolist()
        visible = (low[0], low[1], high[0], high[1])
        layer = Layer(key.index, matrix, visible, max(factor), window.box_mask)
        return Scene(canvas_wh, content_wh, [layer], fill)

    def _window(self, index: int, rng: np.random.Generator) -> tuple[Window, tuple[int, int, int]]:
        boxes = self.table.boxes_xyxy[self.table.rows(index)]
        size_wh = self.table.size_wh(index)
        expand, crop = self.augment["expand"], self.augment["min_iou_crop"]
        xyxy, fill = (0, 0, *size_wh), self.grey
        if rng.random() < expand["probability"]:
            xyxy = expanded_window(rng, size_wh, tuple(expand["ratio"]))
            fill = tuple(expand["fill_bgr"])
        if rng.random() < crop["probability"]:
            return min_iou_window(rng, boxes, xyxy, crop), fill
        return Window(xyxy, np.ones(len(boxes), dtype=bool)), fill

    def _mosaic(
        self,
        key: SampleKey,
        rng: np.random.Generator,
        target_wh: tuple[int, int],
        *,
        with_affine: bool,
    ) -> Scene:
        partners = draw_partners(rng, 3, key.index, key.pool, len(self.table))
        indices = [key.index, *partners]
        sizes = [self.table.size_wh(index) for index in indices]
        if not with_affine:
            tile_wh = max(1, target_wh[0] // 2), max(1, target_wh[1] // 2)
            centre = draw_mosaic_centre(rng, tile_wh)
            layers = small_mosaic(indices, sizes, target_wh, centre)
            return Scene(target_wh, target_wh, layers, self.grey)
        centre = draw_mosaic_centre(rng, target_wh)
        affine = draw_affine(rng, self.augment["affine"], target_wh)
        layers = warped_mosaic(indices, sizes, target_wh, centre, affine, self.image_size_wh)
        return Scene(target_wh, target_wh, layers, self.grey)

    def _with_mixup(
        self, scene: Scene, key: SampleKey, rng: np.random.Generator, target_wh: tuple[int, int]
    ) -> Scene:
        # Only images with boxes are blended in, as in mmdet.
        candidates = draw_partners(rng, 15, key.index, key.pool, len(self.table))
        counts = np.diff(self.table.offsets)
        partner = next((index for index in candidates if counts[index]), None)
        if partner is None:
            return scene
        layer = mixup_layer(
            rng,
            partner,
            self.table.size_wh(partner),
            target_wh,
            scene.canvas_wh,
            tuple(self.augment["mixup_scale"]),
            self.image_size_wh,
        )
        return Scene(scene.canvas_wh, scene.canvas_wh, scene.layers, scene.fill_bgr, layer)
