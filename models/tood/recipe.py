"""TOOD (Feng et al. 2021): task-aligned one-stage detection."""

from __future__ import annotations

from typing import Any

FULL: dict[str, Any] = {
    "epochs": 24,
    "batch_size": 4,
    "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
    "schedule": {"type": "step", "milestones": [16, 22], "warmup_iterations": 500},
    "augment": {"flip": 0.5},
    "init": "imagenet",
    "architecture": {
        "type": "TOOD",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
            "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "ResNeXt",
            "depth": 101,
            "groups": 64,
            "base_width": 4,
            "num_stages": 4,
            "out_indices": [0, 1, 2, 3],
            "frozen_stages": 1,
            "norm_cfg": {"type": "BN", "requires_grad": True},
            "norm_eval": True,
            "style": "pytorch",
        },
        "neck": {
            "type": "FPN",
            "in_channels": [256, 512, 1024, 2048],
            "out_channels": 256,
            "start_level": 1,
            "add_extra_convs": "on_output",
            "num_outs": 5,
        },
        "bbox_head": {
            "type": "TOODHead",
            "in_channels": 256,
            "stacked_convs": 6,
            "feat_channels": 256,
            "num_dcn": 0,
            "anchor_type": "anchor_free",
            "anchor_generator": {
                "type": "AnchorGenerator",
                "ratios": [1.0],
                "octave_base_scale": 8,
                "scales_per_octave": 1,
                "strides": [8, 16, 32, 64, 128],
            },
            "bbox_coder": {
                "type": "DeltaXYWHBBoxCoder",
                "target_means": [0.0, 0.0, 0.0, 0.0],
                "target_stds": [0.1, 0.1, 0.2, 0.2],
            },
            # `activated`: the head hands over probabilities, not logits.
            "initial_loss_cls": {
                "type": "FocalLoss",
                "use_sigmoid": True,
                "activated": True,
                "gamma": 2.0,
                "alpha": 0.25,
                "loss_weight": 1.0,
            },
            "loss_cls": {
                "type": "QualityFocalLoss",
                "use_sigmoid": True,
                "activated": True,
                "beta": 2.0,
                "loss_weight": 1.0,
            },
            "loss_bbox": {"type": "GIoULoss", "loss_weight": 2.0},
        },
        "train_cfg": {
            "initial_epoch": 4,
            "initial_assigner": {"type": "ATSSAssigner", "topk": 9},
            "assigner": {"type": "TaskAlignedAssigner", "topk": 13},
            "alpha": 1,
            "beta": 6,
            "allowed_border": -1,
            "pos_weight": -1,
            "debug": False,
        },
        "test_cfg": {
            "nms_pre": 1000,
            "min_bbox_size": 0,
            "score_thr": 0.05,
            "nms": {"type": "nms", "iou_threshold": 0.6},
            "max_per_img": 100,
        },
    },
}

SMOKE: dict[str, Any] = {
    "image_size_wh": [160, 160],
    # Validation and checkpoints cost as much as half an epoch of this size: have fewer of them.
    "epochs": 6,
    "repeat": 4,
    "batch_size": 4,
    "workers": 1,
    "optimizer": {"type": "AdamW", "lr": 8e-4, "weight_decay": 0.02},
    "schedule": {"type": "cosine", "warmup_iterations": 50, "min_lr_ratio": 0.01},
    "ema": {"momentum": 0.005, "gamma": 100.0},
    "init": "none",
    "performance": {"channels_last": True},
    "architecture": {
        "backbone": {
            "type": "SmallResNeXt",
            "depth": 26,
            "groups": 1,
            "base_width": 4,
            "base_channels": 16,
            "num_stages": 4,
            "out_indices": [0, 1, 2, 3],
            "frozen_stages": -1,
            "norm_cfg": {"type": "BN", "requires_grad": True},
            "norm_eval": False,
            "zero_init_residual": False,
            "style": "pytorch",
        },
        "neck": {
            "in_channels": [64, 128, 256, 512],
            "out_channels": 48,
            "num_outs": 4,
            "norm_cfg": {"type": "BN", "requires_grad": True},
        },
        "bbox_head": {
            "in_channels": 48,
            "feat_channels": 48,
            "stacked_convs": 3,
            "norm_cfg": {"type": "GN", "num_groups": 8, "requires_grad": True},
            "anchor_generator": {"octave_base_scale": 4, "strides": [8, 16, 32, 64]},
            # In so short a training the box loss would leave the shared layers little for classes.
            "initial_loss_cls": {"loss_weight": 2.0},
            "loss_cls": {"loss_weight": 2.0},
            "loss_bbox": {"loss_weight": 1.0},
        },
        "train_cfg": {"initial_epoch": 3},
        "test_cfg": {"score_thr": 0.01},
    },
}
