"""Predictions of a detector for a dataset, and their score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Subset

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.boxes import clip_boxes, has_positive_area
from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows
from models.engine.data.loader import eval_loader
from models.engine.detector import DetectedBoxes, Detector
from models.engine.training.distributed import World, gather_objects
from models.engine.training.memory import is_out_of_memory
from models.engine.training.step import autocast

if TYPE_CHECKING:
    from models.engine.data.eval_dataset import EvalDataset, EvalSample


SCORE_KEYS = (
    "competition_map50",
    "map",
    "map50",
    "map75",
    "map_small",
    "map_medium",
    "map_large",
    "per_class",
)


@dataclass(frozen=True)
class Detections:
    """Boxes of one image in its own pixels; labels are class indices."""

    image_id: int
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def eval_dataset(
    config: Mapping[str, Any], coco: CocoDataset, image_root: Path, view: str = "plain"
) -> EvalDataset:
    """Return a dataset's images, shown as the config's model was trained, in one view."""
    from models.engine.data.eval_dataset import EvalDataset

    resize = config["augment"]["resize"]
    return EvalDataset(
        coco,
        image_root,
        config["image_size_wh"],
        view=view,
        resize_mode=resize["mode"],
        pad_value=resize["pad_value"],
        window=config.get("window"),  # runs of earlier versions have none
    )


def detect(
    detector: Detector,
    dataset: EvalDataset,
    *,
    device: torch.device,
    precision: str = "fp32",
    batch_size: int = 1,
    workers: int = 0,
    world: World | None = None,
    report: Callable[[int], None] = lambda images: None,
) -> list[Detections]:
    """Run the detector over every image, shared out over the processes.

    Args:
        detector: on `device`; put into evaluation mode and back.
        dataset: images with the scale that maps boxes back to their pixels.
        device: where the detector is.
        precision: fp32, bf16 or fp16.
        batch_size: images at once.
        workers: processes that load images.
        world: processes that share the work; each returns all detections.
        report: called with the number of images after each batch.

    Returns:
        One `Detections` per image, in the dataset's order.
    """
    world = world or World()
    mine = Subset(dataset, range(world.rank, len(dataset), world.size))
    loader = eval_loader(mine, batch_size, min(workers, len(mine)))
    was_training = detector.training
    detector.eval()
    found: list[Detections] = []
    try:
        for samples in loader:
            found += _detect_in_memory(detector, samples, device, precision)
            report(len(samples))
    finally:
        detector.train(was_training)
    shares = gather_objects(found, world)
    by_id = {each.image_id: each for share in shares for each in share}
    return [by_id[image_id] for image_id in dataset.table.image_ids.tolist()]


def _detect_in_memory(
    detector: Detector, samples: Sequence[EvalSample], device: torch.device, precision: str
) -> list[Detections]:
    """Detect in a batch, or in its halves where the batch does not fit into memory."""
    try:
        return _detect_batch(detector, samples, device, precision)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        message = str(error).splitlines()[0]
    if len(samples) == 1:
        raise UserError(
            f"out of memory while detecting in a single image ({message})",
            where=samples[0].file_name,
            next_step="see whether another program holds the device's memory (nvidia-smi)",
        )
    if device.type == "cuda":
        torch.cuda.empty_cache()
    middle = len(samples) // 2
    return [
        detections
        for half in (samples[:middle], samples[middle:])
        for detections in _detect_in_memory(detector, half, device, precision)
    ]


@torch.no_grad()
def _detect_batch(
    detector: Detector, samples: Sequence[EvalSample], device: torch.device, precision: str
) -> list[Detections]:
    with autocast(precision, device):
        found = detector.predict(samples)
    return [to_detections(sample, boxes) for sample, boxes in zip(samples, found, strict=True)]


def to_detections(sample: EvalSample, found: DetectedBoxes) -> Detections:
    """Return a picture's boxes in the pixels of its file, without those that lie outside it."""
    boxes = sample.boxes_to_original(found.boxes_xyxy.float().cpu().numpy()).astype(np.float32)
    boxes = clip_boxes(boxes, sample.original_size_wh)
    scores = found.scores.float().clamp(0, 1).cpu().numpy()
    labels = found.labels.cpu().numpy()
    keep = has_positive_area(boxes) & np.isfinite(scores)
    return Detections(sample.image_id, boxes[keep], scores[keep], labels[keep])


def detection_rows(detections: Sequence[Detections], category_ids: Sequence[int]) -> dict[str, Any]:
    """Return the columns of all boxes, with category ids in place of class indices."""
    counts = [len(each.scores) for each in detections]
    classes = np.concatenate([np.zeros(0, np.int64), *(each.labels for each in detections)])
    boxes = [np.zeros((0, 4), np.float32), *(each.boxes_xyxy for each in detections)]
    return {
        "row_image_ids": np.repeat([each.image_id for each in detections], counts).astype(np.int64),
        "labels": np.asarray(category_ids, np.int64)[classes],
        "scores": np.concatenate([np.zeros(0, np.float32), *(d.scores for d in detections)]),
        "boxes_xyxy": np.concatenate(boxes),
    }


def to_predictions(
    detections: Sequence[Detections],
    category_ids: Sequence[int],
    coco: CocoDataset,
    provenance: Provenance | None = None,
) -> Predictions:
    """Return detections as the table that the rest of the kit reads.

    Args:
        detections: of every image of the dataset.
        category_ids: category id of each class index.
        coco: the dataset; every one of its images is listed, also those without boxes.
        provenance: origin; by default only the dataset's fingerprint.
    """
    return predictions_from_rows(
        coco.image_ids,
        **detection_rows(detections, category_ids),
        provenance=provenance or Provenance(dataset=coco.fingerprint),
    )


def validation_scores(predictions: Predictions, truth: CocoDataset) -> dict[str, Any]:
    """Return the scores of an epoch, as they are logged and kept; the first one decides."""
    from scoring.score import score

    scores = score(predictions, truth)
    return {key: scores[key] for key in SCORE_KEYS}
