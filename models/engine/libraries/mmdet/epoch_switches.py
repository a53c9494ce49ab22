"""What changes in mmdet's detectors from one epoch to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def set_epoch_on_network(network: nn.Module, config: Mapping[str, Any], epoch: int) -> None:
    """Tell the parts of mmdet's detectors that change during training which epoch it is.

    TOOD's head changes its assigner and loss after some epochs and reads the epoch from
    mmengine's MessageHub; YOLOX's head adds an L1 loss in the last epochs.
    """
    from models.engine.libraries.mmdet.library import MessageHub

    MessageHub.get_current_instance().update_info("epoch", epoch)
    head = getattr(network, "bbox_head", None)
    last_epochs = config["schedule"]["no_augment_epochs"]
    if head is not None and hasattr(head, "use_l1") and last_epochs:
        head.use_l1 = epoch >= config["epochs"] - last_epochs
