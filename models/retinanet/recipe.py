"""RetinaNet (Lin et al. 2017) on Swin-T (Liu et al. 2021)."""

from __future__ import annotations

from typing import Any

FULL: dict[str, Any] = {
    "epochs": 12,
    "batch_size": 4,
    "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
    "schedule": {"type": "step", "milestones": [8, 11], "warmup_iterations": 500},
    "augment": {"flip": 0.5},
    "init": "imagenet",
    "architecture": {
        "type": "RetinaNet",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
            "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "SwinTransformer",
            "embed_dims": 96,
            "depths": [2, 2, 6, 2],
            "num_heads": [3, 6, 12, 24],
            "window_size": 7,
            "mlp_ratio": 4,
            "qkv_bias": True,
            "qk_scale": None,
            "drop_rate": 0.0,
            "attn_drop_rate": 0.0,
            "drop_path_rate": 0.2,
            "patch_norm": True,
            "out_indices": [1, 2, 3],
            "with_cp": False,
            "convert_weights": True,
        },
        "neck": {
            "type": "FPN",
            "in_channels": [192, 384, 768],
            "out_channels": 256,
            "start_level": 0,
            "add_extra_convs": "on_input",
            "num_outs": 5,
        },
        "bbox_head": {
            "type": "RetinaHead",
            "in_channels": 256,
            "stacked_convs": 4,
            "feat_channels": 256,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "octave_base_scale": 4,
                "scales_per_octave": 3,
                "ratios": [0.5, 1.0, 2.0],
                "strides": [8, 16, 32, 64, 128],
            },
            "bbox_coder": {
                "type": "DeltaXYWHBBoxCoder",
                "target_means": [0.0, 0.0, 0.0, 0.0],
                "target_stds": [1.0, 1.0, 1.0, 1.0],
            },
            "loss_cls": {
                "type": "FocalLoss",
                "use_sigmoid": True,
                "gamma": 2.0,
                "alpha": 0.25,
                "loss_weight": 1.0,
            },
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "train_cfg": {
            "assigner": {
                "type": "MaxIoUAssigner",
                "pos_iou_thr": 0.5,
                "neg_iou_thr": 0.4,
                "min_pos_iou": 0,
                "ignore_iof_thr": -1,
            },
            # Focal loss looks at every anchor: nothing is sampled.
            "sampler": {"type": "PseudoSampler"},
            "allowed_border": -1,
            "pos_weight": -1,
            "debug": False,
        },
        "test_cfg": {
            "nms_pre": 1000,
            "min_bbox_size": 0,
            "score_thr": 0.05,
            "nms": {"type": "nms", "iou_threshold": 0.5},
            "max_per_img": 100,
        },
    },
}

# A transformer learns too little from a few hundred images; the smoke backbone is a ResNet.
SMOKE: dict[str, Any] = {
    "image_size_wh": [160, 160],
    "epochs": 6,
    "repeat": 3,
    "batch_size": 4,
    "workers": 1,
    "optimizer": {"type": "AdamW", "lr": 1.5e-3, "weight_decay": 0.02},
    "schedule": {"type": "cosine", "warmup_iterations": 50, "min_lr_ratio": 0.01},
    "ema": {"momentum": 0.005, "gamma": 100.0},
    "init": "none",
    "performance": {"channels_last": True},
    "architecture": {
        "backbone": {
            "type": "ResNet",
            "depth": 18,
            "base_channels": 32,
            "num_stages": 4,
            "out_indices": [1, 2, 3],
            "frozen_stages": -1,
            "norm_cfg": {"type": "BN", "requires_grad": True},
            "norm_eval": False,
            "style": "pytorch",
        },
        "neck": {
            "in_channels": [64, 128, 256],
            "out_channels": 64,
            "num_outs": 4,
            "norm_cfg": {"type": "BN", "requires_grad": True},
        },
        "bbox_head": {
            "in_channels": 64,
            "feat_channels": 64,
            "stacked_convs": 2,
            "norm_cfg": {"type": "GN", "num_groups": 8, "requires_grad": True},
            "anchor_generator": {"octave_base_scale": 2, "strides": [8, 16, 32, 64]},
        },
        "test_cfg": {"score_thr": 0.01},
    },
}
