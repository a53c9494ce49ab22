"""The smallest detector that keeps the engine's contract, and a way to train it.

One convolution per 8 pixels, a class and a box per cell. It has everything that a loop can get
wrong: batch statistics, random numbers (dropout), a loss that changes with the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from data_tools.ground.paths import RunPaths
from models.engine.data.eval_dataset import EvalSample
from models.engine.data.sample import Sample
from models.engine.detector import BuildDetector, DetectedBoxes, Detector
from models.engine.runs.record import open_run_folder
from models.engine.training.session import train_detector
from models.train import prepare
from tests.builders.training_cases import quiet_console, tiny_request

CELL = 8


class ToyDetector(Detector):
    """Predicts in each cell of 8 x 8 pixels one box and a score per class."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.class_count = len(config["classes"])
        self.features = nn.Conv2d(3, 8, CELL, stride=CELL)
        self.norm = nn.BatchNorm2d(8)
        self.outputs = nn.Conv2d(8, self.class_count + 4, 1)
        self.epoch = -1
        self.weighs_boxes = False

    def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
        scores, boxes = self._maps(batch)
        targets, weights = torch.zeros_like(scores), torch.ones_like(scores)
        distances = [boxes.sum() * 0]
        for number, sample in enumerate(batch):
            for box, label, weight in zip(
                sample.boxes_xyxy, sample.labels, sample.weights, strict=True
            ):
                column, row = ((box[:2] + box[2:]) / 2 // CELL).long().tolist()
                factor = weight if self.weighs_boxes else 1.0
                targets[number, label, row, column] = 1
                weights[number, label, row, column] = factor
                distances.append((boxes[number, :, row, column] - box).abs().mean() * factor)
        binary = nn.functional.binary_cross_entropy_with_logits
        losses = {"loss_class": binary(scores, targets, weights)}
        if self.epoch > 0:
            losses["loss_box"] = torch.stack(distances).sum() / (CELL * len(distances))
        return losses

    def predict(self, batch: Sequence[EvalSample]) -> list[DetectedBoxes]:
        scores, boxes = self._maps(batch)
        best, labels = scores.sigmoid().flatten(2).max(dim=1)
        per_cell = boxes.flatten(2).transpose(1, 2)
        return [DetectedBoxes(*found) for found in zip(per_cell, best, labels, strict=True)]

    def use_box_weights(self) -> None:
        self.weighs_boxes = True

    def load_initial_weights(self) -> str | None:
        return None

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _maps(self, batch: Sequence[Sample] | Sequence[EvalSample]) -> tuple[Tensor, Tensor]:
        """Return (N, classes, rows, columns) logits and (N, 4, rows, columns) corners in pixels."""
        height, width = (max(sample.image.shape[side] for sample in batch) for side in (1, 2))
        padded = torch.zeros(len(batch), 3, -(-height // CELL) * CELL, -(-width // CELL) * CELL)
        for image, sample in zip(padded, batch, strict=True):
            image[:, : sample.image.shape[1], : sample.image.shape[2]] = sample.image / 255
        seen = nn.functional.dropout(self.norm(self.features(padded)), 0.1, self.training)
        scores, corners = self.outputs(seen).split([self.class_count, 4], dim=1)
        rows, columns = (torch.arange(count) * CELL + CELL / 2.0 for count in corners.shape[-2:])
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        sizes = corners.exp() * CELL
        return scores, torch.stack((x, y, x, y)) + sizes * torch.tensor([-1, -1, 1, 1])[
            :, None, None
        ]


def train_toy(
    root: Path,
    name: str,
    *overrides: str,
    build: BuildDetector = ToyDetector,
    console: Console | None = None,
    **options: object,
) -> RunPaths:
    """Train or go on training a toy for two epochs of three steps; return its run folder."""
    run, _ = prepare(tiny_request(root, *overrides, name=name, **options))
    open_run_folder(run)
    train_detector(run, console or quiet_console(), build)
    return run.paths
