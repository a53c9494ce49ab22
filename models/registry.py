"""The models of the kit, as plain data; the command line, the Makefile and the tests read it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_tools.ground.errors import UserError


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Attributes:
        name: as typed on the command line; also the folder under `models/`.
        summary: what it is, in a few words.
        library: "mmdet", or "ultralytics" for those that run in a process of their own.
        licence: licence of the code that draws the network.
        smallest_side_px: least width and height of `image_size_wh`, by scale, with its own neck:
            below it some level of its features is empty.
        has_fpn_option: whether `--set neck=fpn` replaces its own neck.
    """

    name: str
    summary: str
    library: str
    licence: str
    has_fpn_option: bool = False
    smallest_side_px: Mapping[str, int] = field(default_factory=lambda: {"full": 32, "smoke": 32})

    def recipe(self, scale: str) -> dict[str, Any]:
        """Return the deltas over the defaults of one scale, unmerged: `FULL` or `SMOKE`."""
        module = importlib.import_module(f"models.{self.name}.recipe")
        return getattr(module, scale.upper())


SCALES = ("full", "smoke")

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec("tood", "TOOD, ResNeXt-101 64x4d, FPN", "mmdet", "Apache-2.0"),
    ModelSpec("tood_dcn", "TOOD with deformable convolution (DCNv2)", "mmdet", "Apache-2.0"),
    ModelSpec("retinanet", "RetinaNet, Swin-T, FPN", "mmdet", "Apache-2.0"),
    ModelSpec("yolox", "YOLOX-x, CSPDarknet, PAFPN", "mmdet", "Apache-2.0", has_fpn_option=True),
    ModelSpec(
        "ssd",
        "SSD512 network, VGG-16",
        "mmdet",
        "Apache-2.0",
        has_fpn_option=True,
        smallest_side_px={"full": 257, "smoke": 32},
    ),
    ModelSpec("yolo11", "YOLO11 through ultralytics", "ultralytics", "AGPL-3.0"),
)


def model_names() -> tuple[str, ...]:
    """Return the names in the order of the registry."""
    return tuple(spec.name for spec in MODELS)


def get_model(name: str) -> ModelSpec:
    """Return the model of this name.

    Raises:
        UserError: there is none; the message lists those that exist.
    """
    for spec in MODELS:
        if spec.name == name:
            return spec
    raise UserError(
        f"no model {name!r}",
        expected=f"one of {', '.join(model_names())}",
        next_step="`python -m models list` describes them",
    )
