"""mmdet's networks, built from a resolved config."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from models.engine.libraries.mmdet import modules
from models.engine.libraries.mmdet.declared_parts import check_parts
from models.engine.libraries.mmdet.library import MODELS, ConfigDict, MMLogger


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """Build the network of a resolved config, with freshly initialised weights.

    The weights depend on torch's global generator: seed it before. Pretrained weights are not
    loaded here (see `models.engine.libraries.mmdet.pretrained`).

    Args:
        config: what `resolve_config` returned; `architecture` and `classes` count.

    Returns:
        mmdet's module: `data_preprocessor`, `loss(inputs, samples)`, `predict(inputs, samples)`.
        Labels are indices into `config["classes"]`.
    """
    network: Any = build_architecture(config["architecture"], len(config["classes"]))
    with _quiet_library():
        network.init_weights()
    return network


def build_architecture(architecture: Mapping[str, Any], class_count: int) -> nn.Module:
    """Build an mmdet config dict for this many classes, without running its initialisation.

    Raises:
        UserError: the config names something else than registered parts.
    """
    modules.register()
    check_parts(architecture)
    # Upstream's constructors change the dictionaries they are given.
    options = copy.deepcopy(dict(architecture))
    options["bbox_head"]["num_classes"] = class_count
    # mmengine's base class would look for the preprocessor in its own registry, not in mmdet's.
    preprocessor = MODELS.build(ConfigDict(options.pop("data_preprocessor")))
    return MODELS.build({**ConfigDict(options), "data_preprocessor": preprocessor})


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Hold back mmengine's three lines per parameter about how it was initialised."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
