"""Which parts a config may name: registered ones that neither import, evaluate nor unpickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_tools.ground.errors import UserError
from models.engine.libraries.mmdet.library import (
    INITIALIZERS,
    MODELS,
    ROOT_MODELS,
    TASK_UTILS,
)

# mmcv evaluates the name of a suppression as Python code.
_SUPPRESSIONS = frozenset({"nms", "soft_nms"})
# Registered parts that run a Python config, unpickle a file, evaluate a text or fetch a model.
_READ_CODE_OR_FILES = frozenset(
    {
        "AppearanceFreeLink",
        "ATSSVLFusionHead",
        "BertModel",
        "CameraMotionCompensation",
        "Detectron2Wrapper",
        "GLIP",
        "GroundingDINO",
        "KnowledgeDistillationSingleStageDetector",
        "LAD",
        "Pretrained",
    }
)
# Options of registered parts that name a file to unpickle, a Python config, or a registry.
_KEYS_OF_FILES = frozenset(
    {"_scope_", "checkpoint", "pretrained", "teacher_ckpt", "teacher_config", "init_checkpoint"}
)


def check_parts(architecture: Mapping[str, Any]) -> None:
    """Refuse an architecture that names anything but registered parts, at any depth.

    mmengine imports whatever a `type` names by its path in Python, and mmcv evaluates some names:
    a config is a file that one gets from others, so nothing in it may choose what runs.

    Raises:
        UserError: it does; all places in one message. `where` is left for the caller, who knows
            the file.
    """
    faults = list(_faults(architecture, "architecture"))
    if faults:
        shown = faults[:5] + ([f"and {len(faults) - 5} more"] if len(faults) > 5 else [])
        raise UserError(
            "the config names what is no registered part:\n  - " + "\n  - ".join(shown),
            expected="names that mmdet, mmcv or this kit registers, such as ResNet or FPN; "
            "first weights are given with --init",
        )


def _faults(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        for position, entry in enumerate(value):
            yield from _faults(entry, f"{key}[{position}]")
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            inner = f"{key}.{name}"
            if name == "type":
                if not _is_registered(entry, key):
                    yield f"`{inner}` is {str(entry)[:80]!a}"
            elif name in _KEYS_OF_FILES and entry is not None:
                yield f"`{inner}` cannot be set: it would load {str(entry)[:80]!a}"
            else:
                yield from _faults(entry, inner)


def _is_registered(name: Any, key: str) -> bool:
    if not isinstance(name, str):
        return False
    if key.rpartition(".")[2] in ("nms", "nms_cfg"):
        return name in _SUPPRESSIONS
    registries = (MODELS, ROOT_MODELS, TASK_UTILS, INITIALIZERS)
    known = any(name in registry.module_dict for registry in registries)
    return known and name not in _READ_CODE_OR_FILES
