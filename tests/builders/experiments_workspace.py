"""A work root as training leaves it: drawn pictures, folds, runs with perturbed-truth predictions.

Not a test module. Everything is seeded; the files follow the same contracts as the real ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image, ImageDraw

from data_tools.coco.dataset import CocoDataset, coco_from_dict, write_coco
from data_tools.ground.files import sha256_of_file, write_json
from data_tools.ground.paths import DataPaths, RunPaths, WorkPaths
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows
from scoring.score import score

CLASSES = ("Paper", "Metal", "Plastic bag", "Battery")
COLOURS = ("#c9a227", "#7a8b99", "#4f9d69", "#b23a48")
SIZE_WH = (220, 160)
FOLD = 3


@dataclass(frozen=True)
class Quality:
    """How far predictions are from the truth."""

    found: float = 0.9
    jitter: float = 0.05
    false_per_image: float = 1.0
    confused: float = 0.05


def draw_dataset(root: Path, images: int, prefix: str, seed: int) -> CocoDataset:
    """Draw pictures with coloured rectangles and return their truth; every ninth has no box."""
    generator = np.random.default_rng(seed)
    width, height = SIZE_WH
    image_rows, annotations = [], []
    for index in range(images):
        name = f"{prefix}/{index:04d}.jpg"
        image_rows.append(
            {"id": 7 + 3 * index, "file_name": name, "width": width, "height": height}
        )
        picture = Image.effect_noise(SIZE_WH, 40).convert("RGB")
        pen = ImageDraw.Draw(picture)
        for _ in range(0 if index % 9 == 8 else int(generator.integers(1, 6))):
            side = np.exp(generator.uniform(np.log(14), np.log(120), 2))
            w, h = np.minimum(side, [width - 8, height - 8])
            x, y = generator.uniform(0, [width - w, height - h])
            label = int(generator.choice(len(CLASSES), p=[0.4, 0.25, 0.2, 0.15]))
            pen.rectangle([x, y, x + w, y + h], fill=COLOURS[label], outline="black")
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 7 + 3 * index,
                    "category_id": label + 1,
                    "bbox": [float(x), float(y), float(w), float(h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                }
            )
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=85)
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)]
    return coco_from_dict(
        {"images": image_rows, "annotations": annotations, "categories": categories}
    )


def perturbed(
    truth: CocoDataset, quality: Quality, seed: int, provenance: Provenance
) -> Predictions:
    """Return predictions that find most truth boxes, a little off, plus false ones."""
    generator = np.random.default_rng(seed)
    width, height = SIZE_WH
    keep = generator.random(len(truth.annotations)) < quality.found
    sides = np.tile(truth.boxes_xywh[:, 2:], 2)
    boxes = truth.boxes_xyxy + generator.normal(0, quality.jitter, sides.shape) * sides
    swap = generator.random(len(boxes)) < quality.confused
    labels = np.where(swap, truth.labels % len(CLASSES) + 1, truth.labels)
    scores = np.clip(generator.beta(6, 2, len(boxes)) * np.where(swap, 0.7, 1), 0, 1)
    count = int(quality.false_per_image * len(truth.images))
    corner = generator.uniform(0, [width - 60, height - 60], (count, 2))
    false_boxes = np.concatenate([corner, corner + generator.uniform(15, 60, (count, 2))], 1)
    boxes = np.concatenate([boxes[keep], false_boxes])
    boxes = np.clip(boxes, 0, [width, height, width, height])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    return predictions_from_rows(
        truth.image_ids,
        np.concatenate(
            [truth.annotation_image_ids[keep], generator.choice(truth.image_ids, count)]
        ),
        np.concatenate([labels[keep], generator.integers(1, len(CLASSES) + 1, count)]),
        np.concatenate([scores[keep], generator.beta(2, 5, count)]),
        boxes,
        provenance=provenance,
    )


@dataclass(frozen=True)
class Workspace:
    """Data root and work root with one fold."""

    data: Path
    work: Path
    train: CocoDataset
    val: CocoDataset
    test: CocoDataset

    def run_paths(self, experiment: str) -> RunPaths:
        """Return the paths of one run."""
        return WorkPaths(self.work).run(experiment, FOLD)

    def add_run(
        self,
        experiment: str,
        *,
        model: str = "tood",
        seed: int = 42,
        quality: Quality | None = None,
        epochs: int = 3,
        seconds_per_epoch: float = 10.0,
        config: dict | None = None,
        pseudo: dict | None = None,
        leaked: tuple[str, ...] = (),
        teachers: tuple[str, ...] = (),
        finished: bool = True,
        predict: bool = True,
        keep_epochs: bool = False,
    ) -> RunPaths:
        """Write one run folder; its predictions are the truth, perturbed."""
        quality = quality or Quality()
        paths = self.run_paths(experiment)
        write_json(paths.config_json, run_config(model, seed, epochs, config or {}))
        names = tuple(self.train.file_names)
        provenance = Provenance(
            dataset=self.val.fingerprint,
            model=model,
            run=experiment,
            fold=FOLD,
            train_file_names=names,
            teacher_file_names=teachers,
            leaked=leaked,
        )
        record = {
            "model": model,
            "experiment": experiment,
            "fold": FOLD,
            "scale": "smoke",
            "seed": seed,
            "command": f"python -m models train {model} --fold {FOLD} --seed {seed}",
            "state": "finished" if finished else "interrupted",
            "started": "2026-01-01T10:00:00+00:00",
            "finished": "2026-01-01T10:05:00+00:00" if finished else None,
            "versions": {"boxcamp": "0.1.0", "torch": "2.11.0"},
            "device": "cpu",
            "data_root": str(self.data),
            "data": {
                "train_json": _file_record(WorkPaths(self.work).train_json(FOLD)),
                "val_json": _file_record(WorkPaths(self.work).val_json(FOLD)),
                "pseudo_json": pseudo,
            },
            "dataset_fingerprints": {
                "train": self.train.fingerprint,
                "val": self.val.fingerprint,
            },
            "train_file_names": list(names),
            "teacher_file_names": list(teachers),
            "parameters": 1234567,
            "minutes_per_epoch": seconds_per_epoch / 60,
            "leaked": list(leaked),
        }
        write_json(paths.run_json, record)
        final = self._write_metrics(
            paths, quality, seed, epochs, seconds_per_epoch, provenance, predict, keep_epochs
        )
        if finished:
            write_json(paths.finished_json, final)
        return paths

    def _write_metrics(
        self,
        paths: RunPaths,
        quality: Quality,
        seed: int,
        epochs: int,
        seconds_per_epoch: float,
        provenance: Provenance,
        predict: bool,
        keep_epochs: bool,
    ) -> dict:
        lines, best, best_predictions = [], None, None
        for epoch in range(epochs):
            left = epochs - 1 - epoch
            worse = Quality(
                quality.found * 0.8**left,
                quality.jitter + 0.03 * left,
                quality.false_per_image + 0.5 * left,
                quality.confused,
            )
            predictions = perturbed(self.val, worse, 1000 * seed + epoch, provenance)
            val = score(predictions, self.val)
            if best is None or val["competition_map50"] > best["val"]["competition_map50"]:
                best, best_predictions = {"epoch": epoch, "val": val}, predictions
            for step in range(4):
                done = epoch + (step + 1) / 4
                lines.append(
                    {
                        "kind": "step",
                        "epoch": epoch,
                        "step": 4 * epoch + step + 1,
                        "loss": 2 / (1 + done),
                        "losses": {"loss_cls": 1 / (1 + done), "loss_bbox": 1 / (1 + done)},
                        "lr": 0.01 * (1 - done / epochs / 2),
                        "images_per_second": 8.0,
                        "seconds": done * seconds_per_epoch,
                    }
                )
            lines.append(
                {
                    "kind": "epoch",
                    "epoch": epoch,
                    "step": 4 * epoch + 4,
                    "train_loss": 2 / (1.5 + epoch),
                    "val": val,
                    "seconds": (epoch + 1) * seconds_per_epoch,
                }
            )
            if keep_epochs:
                write_predictions(paths.predictions(f"val_epoch{epoch + 1}"), predictions)
        if predict:
            write_predictions(paths.predictions("val"), best_predictions)
        paths.metrics_jsonl.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return best


def run_config(model: str, seed: int, epochs: int, changes: dict) -> dict:
    """Return a resolved configuration in the real one's shape, with `changes` merged on top."""
    config = {
        "model": model,
        "scale": "smoke",
        "classes": list(CLASSES),
        "category_ids": [1, 2, 3, 4],
        "seed": seed,
        "epochs": epochs,
        "batch_size": 4,
        "architecture": {"type": model.upper(), "neck": {"type": "FPN", "num_outs": 5}},
        "optimizer": {"type": "SGD", "lr": 0.01},
        "schedule": {"type": "step", "milestones": [16, 22]},
        "augment": {"flip": 0.5, "mosaic": 0.0, "affine": {"probability": 0.0}},
        "ema": None,
        "workers": 2,
    }
    for key, value in changes.items():
        *parents, name = key.split(".")
        block = config
        for parent in parents:
            block = block[parent]
        block[name] = value
    return config


def _file_record(path: Path) -> dict:
    return {"path": str(path), "sha256": sha256_of_file(path)}


def make_workspace(root: Path, *, train: int = 12, val: int = 30, test: int = 8) -> Workspace:
    """Draw the data, split it into one fold and write the fold files."""
    data, work = root / "data", root / "work"
    everything = draw_dataset(data, train + val, "train", seed=5)
    test_set = draw_dataset(data, test, "test", seed=6)
    paths, folds = DataPaths(data), WorkPaths(work)
    write_coco(paths.train_json, everything)
    write_coco(paths.test_json, _without_truth(test_set))
    train_part = everything.subset(everything.image_ids[:train])
    val_part = everything.subset(everything.image_ids[train:])
    write_coco(folds.train_json(FOLD), train_part)
    write_coco(folds.val_json(FOLD), val_part)
    return Workspace(data, work, train_part, val_part, _without_truth(test_set))


def _without_truth(dataset: CocoDataset) -> CocoDataset:
    return CocoDataset(
        images=dataset.images, annotations=(), categories=dataset.categories, info={}
    )


def make_fusion(space: Workspace, experiments: list[str]) -> None:
    """Fuse runs' validation predictions with `ensemble fuse`, sources file included."""
    from ensemble.cli import main as ensemble

    files = [str(space.run_paths(name).predictions("val")) for name in experiments]
    work = WorkPaths(space.work)
    arguments = ["--images", str(work.val_json(FOLD)), "--out", str(work.fused("val"))]
    outcome = CliRunner().invoke(ensemble, ["fuse", *files, *arguments, "--iou", "0.6"])
    if outcome.exit_code:
        raise RuntimeError(outcome.output) from outcome.exception
