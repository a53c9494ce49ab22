"""Losses and batches of weighted boxes; ultralytics, which they need, stays in this process.

`python -m tests.builders.yolo11_weight_cases FOLDER` writes `results.json` into FOLDER, which
holds what `write_tiny_data` writes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from PIL import Image

from data_tools.coco.dataset import read_coco
from data_tools.ground.files import write_json, write_text
from data_tools.ground.paths import RunPaths
from models.engine.config.resolve import resolve_config
from models.engine.libraries.ultralytics import library_training
from models.engine.libraries.ultralytics.arguments import data_yaml, training_arguments
from models.engine.libraries.ultralytics.dataset_files import write_split
from models.engine.libraries.ultralytics.library_detection import build_model
from models.engine.libraries.ultralytics.library_loss import WeightedDetectionLoss
from models.engine.libraries.ultralytics.library_paths import library_paths
from models.engine.libraries.ultralytics.library_training import KitTrainer, keep_to_itself
from models.engine.libraries.ultralytics.process import refuse_network
from models.engine.training.resuming.random_state import seed_everything

# Two boxes in the first image, none in the second, one in the third.
IMAGE_OF_BOX = [0, 0, 2]
CLASSES = [0, 1, 0]
BOXES_CXCYWH = [[0.3, 0.3, 0.4, 0.4], [0.7, 0.6, 0.4, 0.5], [0.5, 0.5, 0.5, 0.4]]
WEIGHT_OF_CATEGORY = {3: 0.25, 7: 1.0}  # red and green


def main() -> None:
    """Write the results."""
    folder = Path(sys.argv[1])
    refuse_network()
    keep_to_itself()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = build_model({"architecture": {"size": "n"}, "classes": ["red", "green"]})
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    weighted, plain = WeightedDetectionLoss(model), model.init_criterion()
    cases = {"plain": losses(plain, None), "none": losses(weighted, [])}
    for weights in ([1, 1, 1], [0.5] * 3, [0] * 3, [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 1, 1],
                    [0, 1, 1]):  # fmt: skip
        cases[str(weights)] = losses(weighted, weights)
    results = {
        "losses": cases,
        "batches": weights_by_class(folder, model),
        "turned_shape": list(shape_of_turned_image(folder)),
        "after_checking": after_checking(folder),
    }
    write_json(folder / "results.json", results)


def shape_of_turned_image(folder):
    """Return the shape that training sees of an image 40 wide and 20 high, tagged as turned."""
    image = Image.new("RGB", (40, 20))
    tags = image.getexif()
    tags[0x0112] = 6  # orientation: turn by 90 degrees
    image.save(folder / "turned.jpg", exif=tags)
    return library_training.ultralytics.data.base.imread(str(folder / "turned.jpg")).shape


def after_checking(folder):
    """Check a turned JPEG with bytes after its end mark; its size there, and whether it changed."""
    path = folder / "images" / "trailer.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((folder / "turned.jpg").read_bytes() + b"SEFT")
    before = path.read_bytes()
    label = folder / "trailer.txt"
    label.write_text("0 .5 .5 .2 .2\n")
    utilities = library_training.ultralytics.data.utils
    found = utilities.verify_image_label((str(path), str(label), "", False, 2, 0, 0, False))
    return {"shape": list(found[2]), "is_unchanged": path.read_bytes() == before}


def losses(criterion, weights):
    """Return loss terms and gradients of fixed predictions; `weights` None is without any."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 16, 84, generator=generator)
    logits[:, :, 1:3] += 3  # boxes of about three cells a side: some overlap the true ones
    boxes = logits.reshape(3, 64, 84).requires_grad_()
    scores = torch.randn(3, 2, 84, generator=generator).requires_grad_()
    feats = [torch.zeros(3, 1, side, side) for side in (8, 4, 2)]  # 64 pixels, strides 8, 16, 32
    count = 3 if weights is None else len(weights)
    batch = {
        "batch_idx": torch.tensor(IMAGE_OF_BOX[:count], dtype=torch.float32),
        "cls": torch.tensor(CLASSES[:count], dtype=torch.float32).view(-1, 1),
        "bboxes": torch.tensor(BOXES_CXCYWH[:count]).reshape(-1, 4),
    }
    if weights is not None:
        batch["weights"] = torch.tensor(weights, dtype=torch.float32)
    loss, items = criterion({"boxes": boxes, "scores": scores, "feats": feats}, batch)
    loss.sum().backward()
    terms = {name.removesuffix("_loss"): float(value) for name, value in items.items()}
    return {
        **terms,
        "box_gradient": boxes.grad.flatten().tolist(),
        "score_gradient": scores.grad.flatten().tolist(),
    }


def weights_by_class(root, model):
    """Return all pairs of class and weight in augmented batches, and the number of their boxes.

    Red boxes weigh .25 and green ones 1, so a weight that lost its box would show.
    """
    coco = read_coco(root / "work" / "folds" / "train_0.json")
    boxes = ({**box, "weight": WEIGHT_OF_CATEGORY[box["category_id"]]} for box in coco.annotations)
    coco = replace(coco, annotations=tuple(boxes))
    config = resolve_config(
        "yolo11", "smoke", categories=coco.categories, mosaic=0.7,
        overrides=["image_size_wh=[64,64]", "augment.mixup=0.5", "workers=0"],
    )  # fmt: skip
    run = RunPaths(root / "run")
    files = library_paths(run).dataset
    for split in ("train", "val"):
        write_split(coco, root / "data", files, split)
    write_text(files.data_yaml, data_yaml(files, config["classes"]))
    val_json = root / "work/folds/val_0.json"
    job = {
        "config": config,
        "run": str(run.root),
        "val_json": str(val_json),
        "val_image_ids": read_coco(val_json).image_ids.tolist(),
    }
    overrides = {**training_arguments(config, "cpu"), "data": str(files.data_yaml),
                 "project": str(library_paths(run).root)}  # fmt: skip
    trainer = KitTrainer(job, lambda *_, **__: None, overrides)
    trainer.model = model
    dataset = trainer.build_dataset(str(files.images("train")), "train", 4)
    seed_everything(0)
    pairs, count = set(), 0
    for _ in range(10):
        samples = [dataset[index] for index in range(len(dataset))]
        batch = trainer.preprocess_batch(dataset.collate_fn(samples))
        assert len(batch["weights"]) == len(batch["bboxes"]) == len(batch["batch_idx"])
        pairs |= set(zip(batch["cls"].view(-1).tolist(), batch["weights"].tolist(), strict=True))
        count += len(batch["weights"])
    return {"pairs": sorted(pairs), "boxes": count}


if __name__ == "__main__":
    main()
