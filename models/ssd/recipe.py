"""SSD (Liu et al. 2016): mmdet's SSD512 network, its anchors enlarged for 1024 pixels."""

from __future__ import annotations

from typing import Any

# SSD512's anchor sizes are 4, 10, 26, 42, 58, 74, 90 and 106 % of the image, which mmdet rounds
# down to pixels of 512; twice that for 1024.
_ANCHOR_SIZES = [2 * size for size in (20, 51, 133, 215, 296, 378, 460, 542)]

FULL: dict[str, Any] = {
    "epochs": 24,
    "batch_size": 16,
    "repeat": 5,
    "optimizer": {"type": "SGD", "lr": 0.002, "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"type": "step", "milestones": [16, 22], "warmup_iterations": 500},
    "augment": {
        "resize": {"mode": "stretch"},
        "flip": 0.5,
        "expand": {"probability": 0.5, "ratio": [1.0, 4.0]},
        "min_iou_crop": {"probability": 1.0},
        "photometric": {"probability": 1.0},
    },
    "init": "imagenet",
    "architecture": {
        "type": "SingleStageDetector",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [1, 1, 1],
            "bgr_to_rgb": True,
            "pad_size_divisor": 1,
        },
        "backbone": {
            "type": "SSDVGG",
            "depth": 16,
            "with_last_pool": False,
            "ceil_mode": True,
            "out_indices": [3, 4],
            "out_feature_indices": [22, 34],
        },
        "neck": {
            "type": "SSDNeck",
            "in_channels": [512, 1024],
            "out_channels": [512, 1024, 512, 256, 256, 256, 256],
            "level_strides": [2, 2, 2, 2, 1],
            "level_paddings": [1, 1, 1, 1, 1],
            "last_kernel_size": 4,
            "l2_norm_scale": 20,
        },
        "bbox_head": {
            "type": "SSDHead",
            "in_channels": [512, 1024, 512, 256, 256, 256, 256],
            "anchor_generator": {
                "type": "SSDAnchorGenerator",
                "scale_major": False,
                "min_sizes": _ANCHOR_SIZES[:-1],
                "max_sizes": _ANCHOR_SIZES[1:],
                "strides": [8, 16, 32, 64, 128, 256, 512],
                "ratios": [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
            },
            "bbox_coder": {
                "type": "DeltaXYWHBBoxCoder",
                "target_means": [0.0, 0.0, 0.0, 0.0],
                "target_stds": [0.1, 0.1, 0.2, 0.2],
            },
        },
        "train_cfg": {
            "assigner": {
                "type": "MaxIoUAssigner",
                "pos_iou_thr": 0.5,
                "neg_iou_thr": 0.5,
                "min_pos_iou": 0.0,
                "ignore_iof_thr": -1,
                "gt_max_assign_all": False,
            },
            "sampler": {"type": "PseudoSampler"},
            "smoothl1_beta": 1.0,
            "allowed_border": -1,
            "pos_weight": -1,
            "neg_pos_ratio": 3,
            "debug": False,
        },
        "test_cfg": {
            "nms_pre": 1000,
            "nms": {"type": "nms", "iou_threshold": 0.45},
            "min_bbox_size": 0,
            "score_thr": 0.02,
            "max_per_img": 200,
        },
    },
}

_SMOKE_CHANNELS = [128, 256, 128, 96, 96]
_SMOKE_ANCHOR_SIZES = [8, 20, 50, 80, 120, 160]

SMOKE: dict[str, Any] = {
    "image_size_wh": [160, 160],
    "epochs": 6,
    "batch_size": 4,
    "repeat": 3,
    "workers": 1,
    "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.02},
    "schedule": {"type": "cosine", "warmup_iterations": 50, "min_lr_ratio": 0.01},
    "ema": {"momentum": 0.005, "gamma": 100.0},
    "augment": {
        "expand": {"probability": 0.0},
        "min_iou_crop": {"probability": 0.0},
        "photometric": {"probability": 0.0},
    },
    "init": "none",
    "performance": {"channels_last": True},
    "architecture": {
        "data_preprocessor": {"std": [58.395, 57.12, 57.375]},
        "backbone": {
            "type": "SmallSSDVGG",
            "channels": [16, 32, 64, 128, 128],
            "blocks": [1, 1, 2, 2, 2],
            "wide_channels": 256,
        },
        "neck": {
            "in_channels": [128, 256],
            "out_channels": _SMOKE_CHANNELS,
            "level_strides": [2, 2, 2],
            "level_paddings": [1, 1, 1],
            "last_kernel_size": 3,
            "norm_cfg": {"type": "BN", "requires_grad": True},
        },
        "bbox_head": {
            "in_channels": _SMOKE_CHANNELS,
            "anchor_generator": {
                "min_sizes": _SMOKE_ANCHOR_SIZES[:-1],
                "max_sizes": _SMOKE_ANCHOR_SIZES[1:],
                "strides": [8, 16, 32, 64, 128],
                "ratios": [[2], [2, 3], [2, 3], [2], [2]],
            },
        },
    },
}
