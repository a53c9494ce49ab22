"""mmdet's detectors behind the engine's contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.engine.data.eval_dataset import EvalSample
from models.engine.data.sample import Sample
from models.engine.detector import DetectedBoxes, Detector
from models.engine.libraries.mmdet.batch import to_eval_inputs, to_model_inputs
from models.engine.libraries.mmdet.box_weights import use_box_weights
from models.engine.libraries.mmdet.build import build_network
from models.engine.libraries.mmdet.epoch_switches import set_epoch_on_network
from models.engine.libraries.mmdet.pretrained import load_initial_weights


class MmdetDetector(Detector):
    """A detector that mmdet builds from a resolved config.

    The names of its weights are those of mmdet's module, so published checkpoints and the kit's
    have the same.

    Args:
        config: what `resolve_config` returned.

    Attributes:
        network: mmdet's module.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.network: Any = build_network(config)

    def loss(self, batch: Sequence[Sample]) -> dict[str, Tensor]:
        """Return the means of the head's losses, summed over its levels."""
        data = self._preprocessed(to_model_inputs(batch), training=True)
        losses = self.network(data["inputs"], data["data_samples"], mode="loss")
        _, named = self.network.parse_losses(losses)
        # mmdet takes for a loss what has the word in its name; `loss` itself is their sum.
        return {key: value for key, value in named.items() if "loss" in key and key != "loss"}

    def predict(self, batch: Sequence[EvalSample]) -> list[DetectedBoxes]:
        """Return each picture's boxes after the head's own suppression."""
        data = self._preprocessed(to_eval_inputs(batch), training=False)
        # Not rescaled: the sample knows the way back from its view to the image file.
        results = self.network.predict(data["inputs"], data["data_samples"], rescale=False)
        found = [result.pred_instances for result in results]
        return [DetectedBoxes(each.bboxes, each.scores, each.labels) for each in found]

    def _preprocessed(self, inputs: dict[str, Any], *, training: bool) -> dict[str, Any]:
        preprocessor = self.network.data_preprocessor
        # Pixels are normalized in full precision whatever the network computes with.
        with torch.autocast(preprocessor.device.type, enabled=False):
            return preprocessor(inputs, training)

    def use_box_weights(self) -> None:
        """Change the head's loss, see `box_weights`."""
        use_box_weights(self.network.bbox_head)

    def load_initial_weights(self) -> str | None:
        """Load a published file, or another one, see `pretrained`."""
        report = load_initial_weights(self.network, self.config)
        return None if report is None else report.summary()

    def set_epoch(self, epoch: int) -> None:
        """Tell TOOD's and YOLOX's heads, whose losses change during training."""
        set_epoch_on_network(self.network, self.config, epoch)

    def to(self, *args: Any, **kwargs: Any) -> MmdetDetector:
        """Move the weights; mmdet's preprocessor has to be told where to."""
        self.network.to(*args, **kwargs)
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile backbone and neck in place; the head's assignment would be compiled anew each
        time that the number of boxes changes.
        """
        self.network.backbone.compile(*args, **kwargs)
        if self.network.with_neck:
            self.network.neck.compile(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights under mmdet's own names."""
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take over weights under mmdet's own names."""
        return self.network.load_state_dict(*args, **kwargs)
