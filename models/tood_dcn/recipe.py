"""TOOD with DCNv2 in the backbone's last two stages and in two layers of the head."""

from __future__ import annotations

from typing import Any

from models.engine.config.merging import on_top
from models.tood import recipe as tood

# `fallback_on_stride` False: also the layers that halve the map are deformable.
_DEFORMABLE: dict[str, Any] = {
    "architecture": {
        "backbone": {
            "dcn": {"type": "DCNv2", "deform_groups": 1, "fallback_on_stride": False},
            "stage_with_dcn": [False, False, True, True],
        },
        "bbox_head": {"num_dcn": 2},
    },
}

FULL: dict[str, Any] = on_top(tood.FULL, on_top(_DEFORMABLE, {"batch_size": 6}))

SMOKE: dict[str, Any] = on_top(tood.SMOKE, _DEFORMABLE)
