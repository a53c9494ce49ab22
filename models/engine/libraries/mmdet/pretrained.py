"""First weights of mmdet's detectors: which of their layers may stay fresh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.engine.libraries.mmdet.modules import upstream_name
from models.engine.weights.checkpoint_files import load_state_dict
from models.engine.weights.loading import LoadReport, fill_part, fill_whole, initial_file

# The layers whose size is the number of classes; a test finds them by building with one more.
CLASS_LAYERS: dict[str, str] = {
    "TOODHead": "bbox_head.tood_cls.",
    "RetinaHead": "bbox_head.retina_cls.",
    "YOLOXHead": "bbox_head.multi_level_conv_cls.",
    "SSDHead": "bbox_head.cls_convs.",
}

# Parts of backbones that classification networks do not have.
_FRESH_IN_BACKBONE = (
    ".conv_offset.",  # deformable convolution's offsets, which start at zero
    "features.31.",  # SSD's two convolutions in place of VGG's classifier
    "features.33.",
)
# Swin's norms of the maps handed to the neck; they stand directly in the backbone.
_FRESH_SWIN_NORMS = ("norm0.", "norm1.", "norm2.", "norm3.")


def load_initial_weights(network: Any, config: Mapping[str, Any]) -> LoadReport | None:
    """Load what the config's `init` names into a freshly built network.

    Args:
        network: from `models.engine.libraries.mmdet.build.build_network`.
        config: resolved config.

    Returns:
        What was loaded; None for "none".

    Raises:
        UserError: nothing published for this model, no network and no cached file, a file that
            is no checkpoint, or weights of another architecture.
    """
    path = initial_file(config)
    if path is None:
        return None
    if config["init"] == "imagenet":
        return load_backbone(network, path)
    return load_detector(network, path)


def load_detector(network: Any, path: Path) -> LoadReport:
    """Load a whole detector; only layers sized by the number of classes may stay fresh.

    Raises:
        UserError: the file is of another architecture; the message names the first tensors.
    """
    given = {name: value for name, value in load_state_dict(path).items() if not _is_average(name)}
    class_layers = CLASS_LAYERS.get(upstream_name(network.bbox_head), "\0")
    return fill_whole(network, given, path, class_layers=class_layers)


def load_backbone(network: Any, path: Path) -> LoadReport:
    """Load a classification network into the detector's backbone; the rest stays fresh.

    Raises:
        UserError: the file is of another backbone.
    """
    given = load_state_dict(path)
    given = {name.removeprefix("backbone."): value for name, value in given.items()}
    return fill_part(network.backbone, given, path, may_be_missing=_is_fresh_in_backbone)


def _is_fresh_in_backbone(name: str) -> bool:
    return name.startswith(_FRESH_SWIN_NORMS) or any(part in name for part in _FRESH_IN_BACKBONE)


def _is_average(name: str) -> bool:
    # mmdet 2 kept a second copy of each weight, its moving average, beside the first.
    return name.startswith("ema_")
