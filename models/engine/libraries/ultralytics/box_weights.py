"""How a box's weight reaches the loss through ultralytics' augmentation, which knows no weights.

Its transforms carry one number per box, the class, wherever the box goes. Boxes get a running
number in place of their class, and the batch looks up both class and weight by it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.engine.libraries.ultralytics.library_paths import LibraryDatasetPaths


@dataclass(frozen=True)
class BoxTable:
    """Class and weight of every box of a dataset, by its number.

    Attributes:
        classes: (N,) float32 class indices.
        weights: (N,) float32 weights in the loss.
    """

    classes: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> BoxTable:
        """Return the table on a device."""
        return BoxTable(self.classes.to(device), self.weights.to(device))

    def look_up(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch whose `cls`, (n, 1) numbers, are classes again, with `weights`, (n,)."""
        numbers = batch["cls"].view(-1).long()
        return {
            **batch,
            "cls": self.classes[numbers][:, None],
            "weights": self.weights[numbers],
        }


def number_boxes(labels: Sequence[dict[str, Any]], files: LibraryDatasetPaths) -> BoxTable | None:
    """Put running numbers in the place of all boxes' classes, if some box has a weight.

    Args:
        labels: ultralytics' own, one per image; their `cls` (n, 1) is replaced.
        files: what `dataset_files.py` wrote.

    Returns:
        What the numbers stand for; None, and labels as they were, where all weights are 1.
    """
    weights_of_stem = json.loads(files.box_weights_json.read_text(encoding="utf-8"))
    if not weights_of_stem:
        return None
    classes = [label["cls"][:, 0] for label in labels]
    weights = [_label_weights(label, weights_of_stem, files) for label in labels]
    first = 0
    for label in labels:
        count = len(label["cls"])
        label["cls"] = np.arange(first, first + count, dtype=np.float64)[:, None]
        first += count
    return BoxTable(
        torch.from_numpy(np.concatenate(classes).astype(np.float32)),
        torch.from_numpy(np.concatenate(weights)),
    )


def anchor_weights(
    is_positive: Tensor, box_of_anchor: Tensor, image_of_box: Tensor, box_weights: Tensor
) -> Tensor:
    """Return one weight per anchor: its box's weight, and 1 where it has no box.

    Args:
        is_positive: (B, A) bool, whether a box was assigned to the anchor.
        box_of_anchor: (B, A) position of that box among its image's; any number elsewhere.
        image_of_box: (n,) image of each box, ascending.
        box_weights: (n,).

    Returns:
        (B, A), of the weights' type.
    """
    if len(box_weights) == 0:
        return box_weights.new_ones(is_positive.shape)
    images = image_of_box.long()
    counts = images.new_zeros(len(is_positive)).scatter_add_(0, images, torch.ones_like(images))
    first = counts.cumsum(0) - counts
    box = (first[:, None] + box_of_anchor.long()).clamp(max=len(box_weights) - 1)
    return torch.where(is_positive, box_weights[box], 1.0)


def _label_weights(
    label: dict[str, Any], weights_of_stem: dict[str, list[float]], files: LibraryDatasetPaths
) -> np.ndarray:
    stem = Path(label["im_file"]).stem
    if stem not in weights_of_stem:
        return np.ones(len(label["cls"]), dtype=np.float32)
    # Not by position: ultralytics sorts an image's boxes if it finds two that are equal, and
    # drops one. The larger of their weights counts.
    text = files.labels_txt("train", stem).read_text(encoding="utf-8")
    lines = np.array([line.split() for line in text.splitlines()], dtype=np.float32)
    weight_of_row: dict[bytes, float] = {}
    for line, weight in zip(lines, weights_of_stem[stem], strict=True):
        weight_of_row[line.tobytes()] = max(weight, weight_of_row.get(line.tobytes(), 0.0))
    rows = np.concatenate([label["cls"], label["bboxes"]], axis=1).astype(np.float32)
    return np.array([weight_of_row[row.tobytes()] for row in rows], dtype=np.float32)
