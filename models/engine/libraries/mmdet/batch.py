"""From the data part's samples to what mmdet's detectors take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from models.engine.data.eval_dataset import EvalSample
    from models.engine.data.sample import Sample
    from models.engine.libraries.mmdet.library import DetDataSample


def to_model_inputs(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return `{"inputs": [uint8 (3, H, W)], "data_samples": [DetDataSample]}` for mmdet.

    The data preprocessor of the detector then moves, pads, normalizes and stacks them.
    """
    return {
        "inputs": [sample.image for sample in samples],
        "data_samples": [_data_sample(sample) for sample in samples],
    }


def _data_sample(sample: Sample) -> DetDataSample:
    from models.engine.libraries.mmdet.library import DetDataSample, InstanceData

    width, height = sample.size_wh
    data_sample = DetDataSample(
        metainfo={
            "img_id": sample.image_id,
            "img_path": sample.file_name,
            "img_shape": (height, width),
            "ori_shape": (height, width),
            "scale_factor": (1.0, 1.0),
        }
    )
    instances = InstanceData(bboxes=sample.boxes_xyxy, labels=sample.labels)
    instances.weights = sample.weights
    data_sample.gt_instances = instances
    data_sample.ignored_instances = InstanceData(
        bboxes=torch.zeros((0, 4)), labels=torch.zeros(0, dtype=torch.int64)
    )
    return data_sample


def to_eval_inputs(samples: Sequence[EvalSample]) -> dict[str, Any]:
    """Return the same for pictures to predict: there are no boxes."""
    from models.engine.libraries.mmdet.library import DetDataSample

    def metainfo(sample: EvalSample) -> dict[str, Any]:
        shape = sample.size_wh[::-1]
        return {"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0)}

    return {
        "inputs": [sample.image for sample in samples],
        "data_samples": [DetDataSample(metainfo=metainfo(sample)) for sample in samples],
    }
