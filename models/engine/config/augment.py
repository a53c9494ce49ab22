"""The `augment` block of a model's configuration: defaults, and the check of a given block.

This file imports neither torch nor OpenCV, so reading a configuration stays cheap.
docs/augmentation.md describes every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from data_tools.ground.errors import UserError

RESIZE_MODES = ("keep_ratio", "letterbox", "stretch")

AUGMENT_DEFAULTS: dict[str, Any] = {
    # How an image gets its training size: `keep_ratio` fits it inside, `letterbox` also fills up
    # to the whole size with `pad_value`, `stretch` ignores the aspect ratio.
    "resize": {"mode": "keep_ratio", "pad_value": 114},
    "flip": 0.5,  # probability of a left-right flip
    "multi_scale": [1.0, 1.0],  # range of the size of a whole batch, relative to image_size_wh
    "mosaic": 0.0,  # probability that a sample is composed of four images
    "mixup": 0.0,  # probability that a second image is blended in, half and half
    "mixup_scale": [0.8, 1.6],  # range of the second image's size
    "close_mosaic_epochs": 0,  # mosaic, mixup and affine are off in that many last epochs
    "affine": {
        "probability": 0.0,
        "rotate_degrees": 10.0,
        "translate": 0.1,  # fraction of the side
        "scale": [0.5, 1.5],
        "shear_degrees": 2.0,
    },
    "hsv": {"probability": 0.0, "hue": 5, "saturation": 30, "value": 30},
    "photometric": {
        "probability": 0.0,
        "brightness": 32.0,
        "contrast": [0.5, 1.5],
        "saturation": [0.5, 1.5],
        "hue_degrees": 18.0,
    },
    "expand": {"probability": 0.0, "ratio": [1.0, 4.0], "fill_bgr": [103, 116, 123]},
    "min_iou_crop": {"probability": 0.0, "ious": [0.1, 0.3, 0.5, 0.7, 0.9], "min_size": 0.3},
    "min_box_px": 1.0,  # a box with a smaller side after all transforms is left out
    "min_visible": 0.0,  # a box of which less area stays inside the picture is left out
    "cache_mb": 1024,  # memory for decoded images, all workers together
}

_RANGES: tuple[str, ...] = ("multi_scale", "mixup_scale", "affine.scale", "expand.ratio")
_RANGES += ("photometric.contrast", "photometric.saturation")
_PROBABILITIES: tuple[str, ...] = ("flip", "mosaic", "mixup", "min_visible", "affine.probability")
_PROBABILITIES += ("hsv.probability", "photometric.probability", "expand.probability")
_PROBABILITIES += ("min_iou_crop.probability",)


def complete_augment(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `augment` block with defaults filled in, checked.

    Args:
        given: any part of `AUGMENT_DEFAULTS`, nested the same way.

    Raises:
        UserError: a key is unknown or a value cannot be; all faults in one message.
    """
    merged = deepcopy(AUGMENT_DEFAULTS)
    faults: list[str] = []
    _merge(merged, given, "augment", faults)
    if not faults:
        faults = _value_faults(merged)
    if faults:
        raise UserError("; ".join(faults), where="configuration, block `augment`")
    return merged


def _merge(target: dict[str, Any], given: Mapping[str, Any], where: str, faults: list[str]) -> None:
    for key, value in given.items():
        if key not in target:
            faults.append(f"unknown key `{where}.{key}` (valid: {', '.join(target)})")
        elif isinstance(target[key], dict):
            if isinstance(value, Mapping):
                _merge(target[key], value, f"{where}.{key}", faults)
            else:
                faults.append(f"`{where}.{key}` is {value!r}, expected {', '.join(target[key])}")
        elif not _same_kind(target[key], value):
            faults.append(f"`{where}.{key}` is {value!r}, expected a value like {target[key]!r}")
        else:
            target[key] = deepcopy(value)


def _same_kind(default: Any, value: Any) -> bool:
    if isinstance(default, list):
        right_length = isinstance(value, (list, tuple)) and len(value) > 0
        return right_length and all(_same_kind(default[0], item) for item in value)
    if isinstance(default, str):
        return isinstance(value, str)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(default, float) and isinstance(value, float))


def _value_faults(block: dict[str, Any]) -> list[str]:
    faults = [
        f"`augment.{path}` is {_at(block, path)}, expected 0 to 1"
        for path in _PROBABILITIES
        if not 0 <= _at(block, path) <= 1
    ]
    for path in _RANGES:
        pair = _at(block, path)
        if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
            faults.append(f"`augment.{path}` is {pair}, expected [low, high] with 0 < low <= high")
    if block["expand"]["ratio"][0] < 1:
        faults.append(f"`augment.expand.ratio` is {block['expand']['ratio']}, expected low >= 1")
    if block["resize"]["mode"] not in RESIZE_MODES:
        names = ", ".join(RESIZE_MODES)
        faults.append(f"`augment.resize.mode` is {block['resize']['mode']!r}, expected {names}")
    if not 0 < block["min_iou_crop"]["min_size"] <= 1:
        faults.append("`augment.min_iou_crop.min_size` must be above 0 and at most 1")
    faults += [
        f"`augment.{path}` is {_at(block, path)}, expected 0 or more"
        for path in ("close_mosaic_epochs", "min_box_px", "cache_mb")
        if _at(block, path) < 0
    ]
    return faults


def _at(block: dict[str, Any], path: str) -> Any:
    value: Any = block
    for key in path.split("."):
        value = value[key]
    return value
