"""From the kit's configuration to ultralytics' own argument names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.ground.nested import flattened
from models.engine.libraries.ultralytics.library_paths import LibraryDatasetPaths

SIZES = ("n", "s", "m", "l", "x")
_PRECISION = {"fp32": False, "bf16": "bf16", "fp16": True}

# Settings that reach ultralytics; a group stands for all of its keys.
SUPPORTED = (
    "model", "scale", "classes", "category_ids", "seed",
    "image_size_wh", "window", "epochs", "batch_size", "precision", "workers", "init", "log",
    "checkpoint", "performance",
    "optimizer.type", "optimizer.lr", "optimizer.momentum", "optimizer.weight_decay",
    "schedule.warmup_epochs", "schedule.min_lr_ratio",
    "augment.flip", "augment.mosaic", "augment.mixup", "augment.close_mosaic_epochs",
    "augment.cache_mb",
    "architecture",
)  # fmt: skip


def training_arguments(config: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return what ultralytics' trainer is told, apart from paths.

    Args:
        config: resolved configuration of yolo11.
        device: "cpu" or "cuda".
    """
    optimizer, schedule, augment = config["optimizer"], config["schedule"], config["augment"]
    return {
        "model": model_yaml(config),
        "epochs": config["epochs"],
        "patience": config["epochs"] + 1,  # no early stop: runs are compared at equal epochs
        "batch": config["batch_size"],
        "nbs": config["batch_size"],  # no hidden accumulation up to 64 images
        "imgsz": max(config["image_size_wh"]),
        "device": "cpu" if device == "cpu" else 0,
        "workers": config["workers"],
        "seed": config["seed"],
        "deterministic": True,
        "pretrained": False,
        "amp": _PRECISION[config["precision"]],
        "optimizer": optimizer["type"],
        "lr0": optimizer["lr"],
        "momentum": optimizer["momentum"],
        "weight_decay": optimizer["weight_decay"],
        "cos_lr": True,
        "lrf": schedule["min_lr_ratio"],
        "warmup_epochs": schedule["warmup_epochs"],
        "fliplr": augment["flip"],
        "mosaic": augment["mosaic"],
        "mixup": augment["mixup"],
        "close_mosaic": augment["close_mosaic_epochs"],
        "plots": False,
        "verbose": False,
        "exist_ok": True,
        **config["architecture"]["hyperparameters"],
    }


def model_yaml(config: Mapping[str, Any]) -> str:
    """Return the name of the YAML file, among ultralytics' own, that draws the network.

    Raises:
        UserError: the size is none of them; it would choose another file, which may hold code.
    """
    size = config["architecture"].get("size")
    if size not in SIZES:
        raise UserError(
            f"`architecture.size` is {str(size)[:80]!a}", expected=f"one of {', '.join(SIZES)}"
        )
    return f"yolo11{size}.yaml"


def check_supported(config: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """Refuse settings that ultralytics would not hear of.

    Args:
        config: resolved configuration.
        recipe: the same without the user's changes.

    Raises:
        UserError: a setting outside `SUPPORTED` differs from the recipe, or a value is impossible.
    """
    given, usual = flattened(config), flattened(recipe)
    faults = [
        f"`{key}` cannot be changed: it is {usual[key]!r}"
        for key, value in given.items()
        if key in usual and value != usual[key] and not _is_supported(key)
    ]
    size = config["architecture"]["size"]
    if size not in SIZES:
        faults.append(f"`architecture.size` is {size!r}, expected one of {', '.join(SIZES)}")
    width, height = config["image_size_wh"]
    if width != height or width % 32:
        faults.append(
            f"`image_size_wh` is {[width, height]}, expected a square, its side a multiple of 32"
        )
    if config["init"] == "imagenet":
        faults.append("`init` is 'imagenet': yolo11 has no such weights, expected none or a file")
    if faults:
        raise UserError(
            f"{len(faults)} settings that yolo11 cannot have:\n  - " + "\n  - ".join(faults),
            expected=f"changes of {', '.join(SUPPORTED[5:])}; colour and affine jitter are under "
            "architecture.hyperparameters",
        )


def data_yaml(files: LibraryDatasetPaths, classes: Sequence[str]) -> str:
    """Return the content of ultralytics' dataset file."""
    root = files.root
    splits = {name: str(files.images(name).relative_to(root)) for name in ("train", "val")}
    content = {"path": str(root.resolve()), **splits}
    return json.dumps({**content, "names": list(classes)}, indent=1) + "\n"  # JSON is YAML


def _is_supported(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in SUPPORTED)
