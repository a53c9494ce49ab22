"""A small, valid work folder in which every documented command can run, and the traps around it.

A place looks like this; commands run in `world/`, and nothing beside it may ever change:

    PLACE/world/{data,work,files,out}   PLACE/outside/precious.txt   PLACE/{home,tmp}/
"""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from tests.builders.experiments_workspace import (
    FOLD,
    Quality,
    Workspace,
    draw_dataset,
    perturbed,
)
from tests.robustness.commands import every_command
from tests.robustness.mutations.values import Traps

RUNS = ("tood_dcn", "yolox", "retinanet")
PRECIOUS = "nobody may write here\n"
# YOLOX with an eighth of the usual width: an epoch of the world takes a second.
TINY_TRAINING = (
    "--epochs 2 --batch 4 --workers 0 --device cpu --set image_size_wh=[64,64] --set repeat=1 "
    "--set architecture.backbone.widen_factor=0.125 "
    "--set architecture.neck.in_channels=[32,64,128] --set architecture.neck.out_channels=32 "
    "--set architecture.bbox_head.in_channels=32 --set architecture.bbox_head.feat_channels=32 "
    "--set schedule.warmup_iterations=2 --set log.every_steps=1 "
    # It has learned nothing: without this it finds nothing, and an empty submission is refused.
    "--set architecture.test_cfg.score_thr=0.0"
)


@dataclass(frozen=True)
class Place:
    """A world and what lies around it."""

    root: Path

    @property
    def world(self) -> Path:
        """Folder that commands run in."""
        return self.root / "world"

    @property
    def executed(self) -> Path:
        """Exists once an input was executed."""
        return self.root / "outside" / "executed"

    @property
    def traps(self) -> Traps:
        """What mutations may point at."""
        outside = self.root / "outside"
        return Traps(str(self.executed), str(outside), "../../outside")


def make_place(root: Path) -> Place:
    """Make the folders around a world, without the world."""
    place = Place(root)
    for folder in (place.world, root / "outside", root / "home", root / "tmp"):
        folder.mkdir(parents=True)
    (root / "outside" / "precious.txt").write_text(PRECIOUS)
    return place


def copy_place(place: Place, root: Path) -> Place:
    """Copy a place with its world."""
    shutil.copytree(place.root, root, symlinks=True)
    return Place(root)


def build_world(*, trained: bool = False) -> None:
    """Fill the working directory; call it in a child, since it runs the kit's commands.

    Args:
        trained: also train the tiny YOLOX, so that there is a run folder with checkpoints.
    """
    data, work = Path("data"), Path("work")
    everything = draw_dataset(data, 20, "train", seed=5)
    test_truth = draw_dataset(data, 4, "test", seed=6)
    from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
    from data_tools.ground.paths import DataPaths, WorkPaths

    test = CocoDataset(test_truth.images, (), test_truth.categories, info={})
    write_coco(DataPaths(data).train_json, everything)
    write_coco(DataPaths(data).test_json, test)
    write_coco(DataPaths(data).hidden_test_json, test_truth)
    _run("data_tools claim --data data --work work")
    _run("data_tools split --coco data/train.json --out work/folds")
    folds = WorkPaths(work)
    train = read_coco(folds.train_json(FOLD))
    val = read_coco(folds.val_json(FOLD))
    space = Workspace(data, work, train, val, test)
    for number, name in enumerate(RUNS):
        quality = Quality(jitter=0.05 + 0.03 * number)
        space.add_run(name, model=name, seed=number, quality=quality, keep_epochs=True)
        _write_test_predictions(space, name, test_truth, number)
    _fuse_and_submit()
    _write_files(Path("files"), test_truth)
    Path("out").mkdir()
    if trained:
        _run(f"models train yolox --name tiny --fold {FOLD} --scale smoke {TINY_TRAINING}")
        _run(f"workflow submit DATA=data WORK=work FOLD={FOLD} MEMBERS=tiny")


def _write_test_predictions(space: Workspace, name: str, truth: object, seed: int) -> None:
    from data_tools.predictions.files import read_predictions, write_predictions

    paths = space.run_paths(name)
    from dataclasses import replace

    provenance = read_predictions(paths.predictions("val")).provenance
    boxes = perturbed(truth, Quality(), seed, replace(provenance, dataset=space.test.fingerprint))
    write_predictions(paths.predictions("test"), boxes)


def _fuse_and_submit() -> None:
    for split, images in (("val", f"work/folds/val_{FOLD}.json"), ("test", "data/test.json")):
        members = " ".join(
            f"work/runs/{name}/fold{FOLD}/predictions/{split}.parquet" for name in RUNS
        )
        _run(f"ensemble fuse {members} --images {images} --out work/ensemble/{split}.parquet")
    fused, images = "work/ensemble/test.parquet", "--images data/test.json"
    _run(f"submit write {fused} {images} --out work/submission.csv")
    _run(f"submit write {fused} {images} --out files/kaggle.csv --format kaggle")
    _run(f"submit write {fused} {images} --out files/rows.csv --format rows")
    _run("submit log work/submission.csv --note first")
    _run(f"data_tools pseudo --train work/folds/train_{FOLD}.json --test data/test.json "
         f"--predictions {fused} --threshold 0.3 "
         f"--out work/pseudo/round1/train_{FOLD}.json")  # fmt: skip
    _run(f"data_tools convert {fused} {images} --from predictions --out files/results.json")
    _run("data_tools convert data/train.json --from coco --out files/yolo")
    members = " ".join(f"work/runs/{name}/fold{FOLD}" for name in RUNS)
    _run(f"ensemble tune {members} --truth work/folds/val_{FOLD}.json --trials 2 "
         "--out files/settings.json")  # fmt: skip


def _write_files(files: Path, test_truth: object) -> None:
    """Write the kinds of file that the kit reads and does not write."""
    packed = Path("work/submission.csv").read_bytes()
    (files / "submission.csv.gz").write_bytes(gzip.compress(packed))
    (files / "results.json.gz").write_bytes(gzip.compress((files / "results.json").read_bytes()))
    (files / "train.json.gz").write_bytes(gzip.compress(Path("data/train.json").read_bytes()))
    voc = files / "voc"
    voc.mkdir()
    rows = ["file_name,class,xmin,ymin,xmax,ymax"]
    coco = json.loads(Path("data/train.json").read_text())
    names = {entry["id"]: entry["name"] for entry in coco["categories"]}
    for image in coco["images"][:5]:
        boxes = [box for box in coco["annotations"] if box["image_id"] == image["id"]]
        objects = ""
        for box in boxes:
            x, y, w, h = (round(v) for v in box["bbox"])
            corners = (
                f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
            )
            name = names[box["category_id"]]
            objects += f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"
            rows.append(f"{image['file_name']},{name},{x},{y},{x + w},{y + h}")
        sides = f"<width>{image['width']}</width><height>{image['height']}</height>"
        size = f"<size>{sides}<depth>3</depth></size>"
        stem = Path(image["file_name"]).stem
        (voc / f"{stem}.xml").write_text(
            f"<annotation><filename>{image['file_name']}</filename>{size}{objects}</annotation>\n"
        )
    (files / "boxes.csv").write_text("\n".join(rows) + "\n")
    formats = {
        "mine": {
            "description": "a format of my own",
            "columns": ["name", "PredictionString"],
            "image_column": "name",
            "image_key": "file_name",
            "fields": ["label", "score", "xmin", "ymin", "xmax", "ymax"],
        }
    }
    (files / "formats.yaml").write_text(yaml.safe_dump(formats, sort_keys=False))
    # Examples name the shipped experiments as seen from a clone.
    shipped = Path(__file__).resolve().parents[2] / "experiments" / "shipped"
    shutil.copytree(shipped, "experiments/shipped")
    yolo = Path("work/yolo-labels")
    shutil.copytree("files/yolo", yolo)
    _write_grey_picture(files / "grey16.png")


def _write_grey_picture(path: Path) -> None:
    from PIL import Image

    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(path)


def _run(line: str) -> None:
    """Run one command of the kit in this process; RuntimeError unless it ends well."""
    words = line.split()
    for command in every_command():
        parts = [command.package, *command.path]
        if words[: len(parts)] == parts:
            try:
                command.run(words[len(parts) :])
            except SystemExit as stop:
                if stop.code:
                    raise RuntimeError(f"{line}: exit status {stop.code}") from None
            return
    raise RuntimeError(f"no such command: {line}")
