"""`--set neck=fpn`: one neck for every detector, for controlled comparisons of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_tools.ground.errors import UserError
from models.engine.config.merging import on_top
from models.registry import MODELS, ModelSpec

# Output channels of the FPN: the original competition entry's 256, and the smoke models' own width.
FPN_CHANNELS = {"full": 256, "smoke": 64}


def with_neck(config: Mapping[str, Any], spec: ModelSpec, neck: Any, scale: str) -> dict[str, Any]:
    """Return the config with an FPN in place of the model's own neck; the head takes its output.

    The FPN has as many levels as the neck it replaces.

    Raises:
        UserError: the neck is not `fpn` or `own`, or the model has no such choice.
    """
    if neck == "own":
        return on_top(config, {"neck": "own"})
    if neck != "fpn" or not spec.has_fpn_option:
        names = ", ".join(model.name for model in MODELS if model.has_fpn_option)
        raise UserError(
            f"neck={neck} does not work with {spec.name}",
            where="--set neck",
            expected=f"fpn or own, with {names}; tood, tood_dcn and retinanet have an FPN anyway",
        )
    architecture = config["architecture"]
    channels = FPN_CHANNELS[scale]
    own = architecture["neck"]
    head = architecture["bbox_head"]
    levels = len(head["strides"]) if "strides" in head else len(head["in_channels"])
    fpn = {
        "type": "FPN",
        "in_channels": list(own["in_channels"]),
        "out_channels": channels,
        "num_outs": levels,
        "add_extra_convs": "on_output" if levels > len(own["in_channels"]) else False,
    }
    many = isinstance(head["in_channels"], list)
    in_channels = [channels] * levels if many else channels
    delta = {
        "neck": "fpn",
        "architecture": {"neck": fpn, "bbox_head": {"in_channels": in_channels}},
    }
    return on_top(config, delta)
