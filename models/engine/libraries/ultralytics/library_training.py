"""ultralytics' trainer with the kit's validation score; imported by `process.py` alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import ultralytics.data.base
import ultralytics.data.utils
import ultralytics.engine.trainer
from PIL import Image
from torch import nn
from ultralytics import settings
from ultralytics.data.utils import IMG_FORMATS
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.patches import imread

from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from models.engine.data.decode import in_window
from models.engine.data.shared_memory import patience_seconds
from models.engine.libraries.ultralytics.arguments import model_yaml, training_arguments
from models.engine.libraries.ultralytics.box_weights import BoxTable, number_boxes
from models.engine.libraries.ultralytics.epoch_records import (
    forget_epochs,
    note_epoch,
    noted_epochs,
)
from models.engine.libraries.ultralytics.library_checkpoint import (
    CheckpointReader,
    read_state,
    refuse_pickles,
    save_state,
)
from models.engine.libraries.ultralytics.library_detection import detect
from models.engine.libraries.ultralytics.library_loss import WeightedDetectionLoss
from models.engine.libraries.ultralytics.library_paths import LibraryPaths, library_paths
from models.engine.libraries.ultralytics.weights import matching_weights
from models.engine.training.evaluate import eval_dataset, to_predictions, validation_scores
from models.engine.training.resuming.checkpoint import load_checkpoint, save_checkpoint

INTEGRATIONS = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")


def train(job: Mapping[str, Any], report: Callable[..., None]) -> None:
    """Train to the last epoch, reporting `start`, `step` and `epoch` events."""
    config = job["config"]
    keep_to_itself(config.get("window"))
    library = library_paths(RunPaths(Path(job["run"])))
    overrides = {
        **training_arguments(config, job["device"]),
        "data": str(library.dataset.data_yaml),
        "project": str(library.root),
        "name": library.training.name,
    }
    reader = CheckpointReader(model_yaml(config), len(config["classes"]), overrides)
    setattr(ultralytics.engine.trainer, "load_checkpoint", reader)  # noqa: B010  # not exported
    last = library.last_checkpoint
    if job["resume"] and last.is_file():
        epochs = config["epochs"]
        if read_state(last)["epoch"] + 1 >= epochs:  # killed before the end of the run
            _report_end(library, epochs, report)
            return
        overrides["resume"] = str(last)
    else:
        forget_epochs(library)
    KitTrainer(job, report, overrides).train()


def _report_end(library: LibraryPaths, epochs: int, report: Callable[..., None]) -> None:
    noted = noted_epochs(library, epochs).get(epochs - 1)
    if noted is not None:
        facts = {name: noted[name] for name in ("steps_per_epoch", "parameters")}
        report("start", epoch=epochs, **facts)


def keep_to_itself(window: Sequence[int] | None = None) -> None:
    """Switch off what ultralytics would send, fetch or unpickle, and what it does to images.

    Images are neither turned nor written anew.

    Args:
        window: values of 16-bit pictures that become black and white.
    """
    refuse_pickles()
    settings.update({name: False for name in INTEGRATIONS})
    # Both would fetch files: a font for pictures that are not drawn, a network to test AMP with.
    for module, name, substitute in (
        (ultralytics.data.utils, "check_font", lambda *_: None),
        (ultralytics.engine.trainer, "check_amp", lambda *_: True),
        (ultralytics.data.base, "imread", partial(imread_as_stored, window=window)),
        (ultralytics.data.utils, "check_image", check_as_stored),
    ):
        setattr(module, name, substitute)


def imread_as_stored(
    path: str | Path, flags: int = cv2.IMREAD_COLOR, window: Sequence[int] | None = None
) -> np.ndarray | None:
    """Read an image without applying its orientation tag: COCO boxes refer to the stored pixels."""
    depth = 0 if window is None else cv2.IMREAD_ANYDEPTH
    pixels = imread(path, flags | cv2.IMREAD_IGNORE_ORIENTATION | depth)
    if pixels is None or window is None or pixels.dtype == np.uint8:
        return pixels
    return in_window(pixels, (window[0], window[1]))


def check_as_stored(path: str) -> tuple[str, tuple[int, int]]:
    """Return no message and an image's height and width as stored, in place of `check_image`.

    Upstream writes JPEG files with bytes after their end mark anew, turned as EXIF says, while
    their boxes are those of the stored pixels. Nothing is written here.
    """
    with Image.open(path) as image:
        width, height = image.size
        image_format = (image.format or "").lower()
    assert width > 9 and height > 9, f"image size {width} x {height} is below 10 pixels"
    assert image_format in IMG_FORMATS, f"image format {image_format!r}"
    return "", (height, width)


class KitTrainer(DetectionTrainer):
    """Trains as ultralytics does; scores, checkpoints and reports as the kit does.

    Args:
        job: see `train`.
        report: sends an event to the parent.
        overrides: ultralytics' arguments.
    """

    # Upstream sets these after its constructor.
    model: Any
    optimizer: Any
    ema: Any
    tloss: Any
    facts: dict[str, int]

    def __init__(
        self, job: Mapping[str, Any], report: Callable[..., None], overrides: dict[str, Any]
    ) -> None:
        self.job, self.report = job, report
        self.config = job["config"]
        self.paths = RunPaths(Path(job["run"]))
        self.val = read_coco(Path(job["val_json"])).subset(job["val_image_ids"])
        self.boxes: BoxTable | None = None  # only where some box has another weight than 1
        super().__init__(overrides=overrides)
        self.add_callback("on_train_start", type(self).announce)
        self.add_callback("on_train_batch_start", type(self).note_time)
        self.add_callback("on_train_batch_end", type(self).report_step)

    def get_model(
        self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True
    ) -> nn.Module:
        """Draw the network, with the weights of `init` where they fit."""
        model = super().get_model(cfg, weights, verbose)
        if self.config["init"] != "none" and not self.resume:
            found = matching_weights(Path(self.config["init"]), model.state_dict())
            model.load_state_dict(found, strict=False)
            text = f"initial weights: {len(found)} of {len(model.state_dict())} tensors fit"
            self.report("message", text=text)
        return model

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Read the images' boxes, with their weights where they have any."""
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            boxes = number_boxes(dataset.labels, library_paths(self.paths).dataset)
            self.boxes = boxes and boxes.to(self.device)
        return dataset

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device and give its boxes their weights."""
        batch = super().preprocess_batch(batch)
        return batch if self.boxes is None else self.boxes.look_up(batch)

    def announce(self) -> None:
        """Report where training begins; the loss weighs boxes from then on."""
        linked = set(library_paths(self.paths).dataset.images("train").iterdir())
        refused = sorted(linked - {Path(name) for name in self.train_loader.dataset.im_files})
        if refused:
            raise UserError(
                f"{len(refused)} of {len(linked)} training images cannot be read or are of a kind "
                "that ultralytics refuses",
                where=refused[0].resolve(),
                expected="files that python -m data_tools verify can decode, of a usual format",
                next_step="fix or convert them, or choose another model",
            )
        if self.boxes is not None:
            self.model.criterion = WeightedDetectionLoss(self.model)
        self.facts = {
            "steps_per_epoch": len(self.train_loader),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }
        # The library's loader has no such option; a batch that never comes must end the wait.
        self.train_loader.timeout = patience_seconds() if self.train_loader.num_workers else 0
        self.report("start", epoch=self.start_epoch, **self.facts)
        self.step_in_epoch, self.step_began = 0, time.perf_counter()
        self.epoch_began = self.step_began

    def note_time(self) -> None:
        """Start an epoch's count with its first step."""
        if self.tloss is None:
            self.step_in_epoch, self.step_began = 0, time.perf_counter()

    def report_step(self) -> None:
        """Report a step's losses."""
        now = time.perf_counter()
        self.step_in_epoch += 1
        losses = {name: float(value) for name, value in self.loss_items.items()}
        self.report(
            "step",
            epoch=self.epoch,
            step_in_epoch=self.step_in_epoch,
            loss=sum(losses.values()),
            losses=losses,
            lr=self.optimizer.param_groups[0]["lr"],
            images=self.batch_size,
            seconds=now - self.step_began,
        )
        self.step_began = now

    def validate(self) -> tuple[dict[str, float], float]:
        """Score the averaged weights on the validation fold; keep the best ones."""
        scores = self._scores()
        value = float(scores["competition_map50"] or 0.0)
        is_best = value >= self._best_value()
        if is_best:
            weights = {name: v.detach().cpu() for name, v in self.ema.ema.state_dict().items()}
            state = {"model": weights, "config": dict(self.config)}
            save_checkpoint(
                self.paths.best_checkpoint, {**state, "epoch": self.epoch, "val": scores}
            )
        train_loss = float(sum(self.tloss.values()))
        event = {"epoch": self.epoch, "train_loss": train_loss, "val": scores, "is_best": is_best}
        now = time.perf_counter()
        note_epoch(
            library_paths(self.paths), {**event, **self.facts, "seconds": now - self.epoch_began}
        )
        self.epoch_began = now
        self.report("epoch", **event)
        return {}, value

    def save_model(self) -> None:
        """Write the checkpoint to resume from, tensors only; upstream's would be unpickled."""
        save_state(self.last, self)

    def final_eval(self) -> None:
        """Do nothing: the best epoch is scored already, and `last.pt` must stay resumable."""

    def _scores(self) -> dict[str, Any]:
        detections = detect(
            self.ema.ema,
            eval_dataset(self.config, self.val, Path(self.job["image_root"])),
            self.config,
            device=self.device,
            batch_size=self.config["batch_size"],
            workers=self.config["workers"],
        )
        predictions = to_predictions(detections, self.config["category_ids"], self.val)
        return validation_scores(predictions, self.val)

    def _best_value(self) -> float:
        if self.epoch == 0 or not self.paths.best_checkpoint.is_file():
            return -1.0
        return float(load_checkpoint(self.paths.best_checkpoint)["val"]["competition_map50"] or 0)
