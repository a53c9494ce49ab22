"""Detection with ultralytics' network on the kit's images; imported by `process.py` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.nms import non_max_suppression

from data_tools.coco.dataset import read_coco
from data_tools.ground.paths import RunPaths
from models.engine.config.unfit import refusing_unfit
from models.engine.data.eval_dataset import EvalDataset
from models.engine.data.loader import eval_loader
from models.engine.detector import DetectedBoxes
from models.engine.libraries.ultralytics.arguments import model_yaml
from models.engine.libraries.ultralytics.library_checkpoint import refuse_pickles
from models.engine.training.evaluate import Detections, eval_dataset, to_detections
from models.engine.training.resuming.checkpoint import BEST_KEYS, load_checkpoint
from models.engine.training.step import autocast
from models.engine.training.tta import columns_of_views


def predict(job: Mapping[str, Any], report: Callable[..., None]) -> None:
    """Detect in every view and write the boxes of all of them to one .npz file."""
    refuse_pickles()
    config, device = job["config"], torch.device(job["device"])
    model = build_model(config).to(device)
    path = RunPaths(Path(job["run"])).best_checkpoint
    best = load_checkpoint(path, keys=BEST_KEYS)
    with refusing_unfit(
        "the weights do not fit the model",
        where=path,
        expected="weights of the model that config.json describes",
        next_step="put the run's own files back, or train it again",
    ):
        model.load_state_dict(best["model"])
    coco = read_coco(Path(job["coco_json"])).subset(job["image_ids"])

    def detect_view(view: str) -> list[Detections]:
        return detect(
            model,
            eval_dataset(config, coco, Path(job["image_root"]), view),
            config,
            device=device,
            batch_size=job["batch_size"],
            workers=job["workers"],
            report=lambda images: report("images", view=view, images=images),
        )

    arrays: dict[str, Any] = {}
    results = columns_of_views(job["views"], config["category_ids"], detect_view)
    for number, (view, (columns, seconds)) in enumerate(zip(job["views"], results, strict=True)):
        arrays |= {f"{number}.{name}": column for name, column in columns.items()}
        report("view", view=view, seconds=seconds)
    np.savez(job["out"], **arrays)


def build_model(config: Mapping[str, Any]) -> DetectionModel:
    """Return the network of a config, with random weights."""
    return DetectionModel(model_yaml(config), nc=len(config["classes"]), verbose=False)


@torch.no_grad()
def detect(
    model: nn.Module,
    dataset: EvalDataset,
    config: Mapping[str, Any],
    *,
    device: torch.device,
    batch_size: int,
    workers: int,
    report: Callable[[int], None] = lambda images: None,
) -> list[Detections]:
    """Return the boxes of every image, in the dataset's order and the images' own pixels."""
    was_training = model.training
    model.eval()
    found: list[Detections] = []
    for samples in eval_loader(dataset, batch_size, min(workers, len(dataset))):
        images = torch.stack([sample.image for sample in samples]).to(device)
        with autocast(config["precision"], device):
            output = model(images.flip(1).float() / 255)  # blue, green, red -> red, green, blue
        found += [
            to_detections(sample, DetectedBoxes(rows[:, :4], rows[:, 4], rows[:, 5].long()))
            for sample, rows in zip(samples, _suppressed(output, config), strict=True)
        ]
        report(len(samples))
    model.train(was_training)
    return found


def _suppressed(output: Any, config: Mapping[str, Any]) -> list[torch.Tensor]:
    options = config["architecture"]["test_cfg"]
    boxes = output[0] if isinstance(output, (tuple, list)) else output
    return non_max_suppression(
        boxes.float(),
        conf_thres=options["score_thr"],
        iou_thres=options["iou_threshold"],
        max_det=options["max_per_img"],
        multi_label=True,
        nc=len(config["classes"]),
        max_time_img=60.0,  # the library otherwise stops early on a slow machine
    )
