"""YOLOX-x (Ge et al. 2021)."""

from __future__ import annotations

from typing import Any

_NORM = {"type": "BN", "momentum": 0.03, "eps": 0.001}
_ACTIVATION = {"type": "Swish"}

FULL: dict[str, Any] = {
    "epochs": 300,
    "batch_size": 8,
    "optimizer": {
        "type": "SGD",
        "lr": 0.01,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "norm_weight_decay": 0.0,
        "bias_weight_decay": 0.0,
    },
    "schedule": {
        "type": "yolox",
        "warmup_iterations": 0,
        "warmup_epochs": 5,
        "no_augment_epochs": 15,
        "min_lr_ratio": 0.05,
    },
    "ema": {"momentum": 1e-4, "gamma": 2000.0},
    "augment": {
        "resize": {"mode": "letterbox"},
        "flip": 0.5,
        "mosaic": 1.0,
        "affine": {"probability": 1.0, "scale": [0.1, 2.0]},
        "mixup": 1.0,
        "hsv": {"probability": 1.0},
        "close_mosaic_epochs": 15,
    },
    # YOLOX is trained from scratch (Ge et al. 2021): no ImageNet weights of this backbone exist.
    "init": "none",
    "architecture": {
        "type": "YOLOX",
        # YOLOX takes BGR pixels as they are.
        "data_preprocessor": {"type": "DetDataPreprocessor", "pad_size_divisor": 32},
        "backbone": {
            "type": "CSPDarknet",
            "deepen_factor": 1.33,
            "widen_factor": 1.25,
            "out_indices": [2, 3, 4],
            "use_depthwise": False,
            "spp_kernal_sizes": [5, 9, 13],  # upstream's spelling
            "norm_cfg": _NORM,
            "act_cfg": _ACTIVATION,
        },
        "neck": {
            "type": "YOLOXPAFPN",
            "in_channels": [320, 640, 1280],
            "out_channels": 320,
            "num_csp_blocks": 4,
            "use_depthwise": False,
            "upsample_cfg": {"scale_factor": 2, "mode": "nearest"},
            "norm_cfg": _NORM,
            "act_cfg": _ACTIVATION,
        },
        "bbox_head": {
            "type": "YOLOXHead",
            "in_channels": 320,
            "feat_channels": 320,
            "stacked_convs": 2,
            "strides": [8, 16, 32],
            "use_depthwise": False,
            "norm_cfg": _NORM,
            "act_cfg": _ACTIVATION,
            "loss_cls": {
                "type": "CrossEntropyLoss",
                "use_sigmoid": True,
                "reduction": "sum",
                "loss_weight": 1.0,
            },
            "loss_bbox": {
                "type": "IoULoss",
                "mode": "square",
                "eps": 1e-16,
                "reduction": "sum",
                "loss_weight": 5.0,
            },
            "loss_obj": {
                "type": "CrossEntropyLoss",
                "use_sigmoid": True,
                "reduction": "sum",
                "loss_weight": 1.0,
            },
            "loss_l1": {"type": "L1Loss", "reduction": "sum", "loss_weight": 1.0},
        },
        "train_cfg": {"assigner": {"type": "SimOTAAssigner", "center_radius": 2.5}},
        "test_cfg": {"score_thr": 0.01, "nms": {"type": "nms", "iou_threshold": 0.65}},
    },
}

SMOKE: dict[str, Any] = {
    "image_size_wh": [160, 160],
    "epochs": 6,
    "repeat": 3,
    "batch_size": 4,
    "workers": 1,
    "optimizer": {"type": "AdamW", "lr": 1.5e-3, "nesterov": False, "weight_decay": 0.02},
    "schedule": {
        "type": "cosine",
        "warmup_iterations": 50,
        "warmup_epochs": 0,
        "no_augment_epochs": 1,
        "min_lr_ratio": 0.01,
    },
    "ema": {"momentum": 0.005, "gamma": 100.0},
    "augment": {
        "mosaic": 0.0,
        "affine": {"probability": 0.0},
        "mixup": 0.0,
        "hsv": {"probability": 0.0},
        "close_mosaic_epochs": 1,
    },
    "init": "none",
    "performance": {"channels_last": True},
    "architecture": {
        "backbone": {"deepen_factor": 0.33, "widen_factor": 0.25},
        "neck": {"in_channels": [64, 128, 256], "out_channels": 64, "num_csp_blocks": 1},
        "bbox_head": {"in_channels": 64, "feat_channels": 64},
    },
}
