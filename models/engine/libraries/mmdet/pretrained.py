"""`--init`: where a detector's first weights come from, and which of its layers stay fresh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from data_tools.ground.errors import UserError
from models.engine.weights.checkpoint_files import load_state_dict
from models.engine.weights.published import COCO_FILES, IMAGENET_FILES, WeightFile, fetch

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


@dataclass(frozen=True)
class LoadReport:
    """What became of the weights.

    Attributes:
        source: file that was read.
        loaded: names of the tensors taken over.
        fresh: names of the model's tensors that keep their random initialisation.
        unused: names in the file that the model does not have.
    """

    source: Path
    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """Return one line for the terminal."""
        layers = sorted({name.rpartition(".")[0] for name in self.fresh})
        fresh = f"fresh: {', '.join(layers)}" if layers else "nothing fresh"
        return f"{len(self.loaded)} tensors from {self.source.name}; {fresh}"


def load_initial_weights(model: nn.Module, config: Mapping[str, Any]) -> LoadReport | None:
    """Load what the config's `init` names into a freshly built detector.

    Args:
        model: from `models.engine.libraries.mmdet.build.build_network`.
        config: resolved config; `init` is "none", "imagenet", "coco" or the path of a checkpoint.

    Returns:
        What was loaded; None for "none".

    Raises:
        UserError: nothing published for this model, no network and no cached file, a file that
            is no checkpoint, or weights of another architecture.
    """
    init = config["init"]
    if init == "none":
        return None
    if init == "imagenet":
        path = fetch(_published(IMAGENET_FILES, config, "imagenet"))
        return load_backbone(model, path)
    if init == "coco":
        return load_detector(model, fetch(_published(COCO_FILES, config, "coco")))
    return load_detector(model, Path(init).expanduser())


def _published(files: Mapping[str, WeightFile], config: Mapping[str, Any], name: str) -> WeightFile:
    model, scale = config["model"], config["scale"]
    if scale == "full" and model in files:
        return files[model]
    reason = "weights are published for full scale only" if model in files else "there are none"
    raise UserError(
        f"no published {name} weights for {model} at {scale} scale: {reason}",
        where="init",
        expected=f"--init none, a checkpoint file, or {name} with "
        f"{', '.join(f'{each} (full)' for each in files)}",
    )


def load_detector(model: nn.Module, path: Path) -> LoadReport:
    """Load a whole detector; only layers sized by the number of classes may stay fresh.

    Raises:
        UserError: the file is of another architecture; the message names the first tensors.
    """
    own = model.state_dict()
    given = {name: value for name, value in load_state_dict(path).items() if not _is_average(name)}
    class_layers = CLASS_LAYERS.get(_registered_name(model), "\0")
    resized = {
        name
        for name, value in given.items()
        if name in own and own[name].shape != value.shape and name.startswith(class_layers)
    }
    usable = {name: value for name, value in given.items() if name not in resized}
    _refuse_other_shapes(own, usable, path)
    return _load(model, usable, path, may_be_missing=lambda name: name in resized)


def load_backbone(model: nn.Module, path: Path) -> LoadReport:
    """Load a classification network into the detector's backbone; the rest stays fresh.

    Raises:
        UserError: the file is of another backbone.
    """
    backbone: Any = model.backbone
    own = backbone.state_dict()
    given = load_state_dict(path)
    given = {name.removeprefix("backbone."): value for name, value in given.items()}
    usable = {name: value for name, value in given.items() if name in own}
    _refuse_other_shapes(own, usable, path)
    unused = tuple(name for name in given if name not in own)
    report = _load(backbone, usable, path, may_be_missing=_is_fresh_in_backbone)
    return LoadReport(path, report.loaded, report.fresh, unused)


def _is_fresh_in_backbone(name: str) -> bool:
    return name.startswith(_FRESH_SWIN_NORMS) or any(part in name for part in _FRESH_IN_BACKBONE)


def _is_average(name: str) -> bool:
    # mmdet 2 kept a second copy of each weight, its moving average, beside the first.
    return name.startswith("ema_")


def _registered_name(model: Any) -> str:
    from models.engine.libraries.mmdet.modules import upstream_name

    return upstream_name(model.bbox_head)


def _refuse_other_shapes(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path
) -> None:
    wrong = [
        name for name, value in given.items() if name in own and own[name].shape != value.shape
    ]
    if wrong:
        first = wrong[0]
        raise UserError(
            f"{len(wrong)} tensors have another shape, the first is {first}: "
            f"{tuple(given[first].shape)} in the file, {tuple(own[first].shape)} in the model",
            where=path,
            expected="weights of the same architecture; only the class layers may differ",
            next_step="check the model's name and --scale",
        )


def _load(
    module: nn.Module, given: Mapping[str, Tensor], path: Path, may_be_missing: Any
) -> LoadReport:
    result = module.load_state_dict(dict(given), strict=False)
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    wrong = [name for name in missing if not may_be_missing(name)]
    if wrong:
        raise UserError(
            f"{len(wrong)} of the model's {len(module.state_dict())} tensors are not in the file, "
            f"the first is {wrong[0]}",
            where=path,
            expected="weights of the same architecture",
            next_step="check the model's name and --scale",
        )
    loaded = tuple(name for name in module.state_dict() if name in given)
    return LoadReport(path, loaded, tuple(missing), tuple(result.unexpected_keys))
