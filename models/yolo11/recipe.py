"""YOLO11 (Ultralytics 2024), drawn from its YAML; ultralytics does the training."""

from __future__ import annotations

from typing import Any

FULL: dict[str, Any] = {
    "epochs": 100,
    "batch_size": 8,
    "clip_grad_norm": 10.0,  # fixed inside ultralytics
    "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.937, "weight_decay": 5e-4},
    "schedule": {
        "type": "cosine",
        "milestones": [],
        "warmup_iterations": 0,
        "warmup_epochs": 3,
        "min_lr_ratio": 0.01,
    },
    "ema": {"momentum": 1e-4, "gamma": 2000.0},  # fixed inside ultralytics
    "augment": {
        "resize": {"mode": "letterbox"},
        "flip": 0.5,
        "mosaic": 1.0,
        "close_mosaic_epochs": 10,
    },
    "init": "none",
    "architecture": {
        "size": "l",  # n, s, m, l or x
        # Named and valued as in ultralytics; its affine and colour jitter are always on.
        "hyperparameters": {
            "box": 7.5,
            "cls": 0.5,
            "dfl": 1.5,
            "hsv_h": 0.015,
            "hsv_s": 0.7,
            "hsv_v": 0.4,
            "degrees": 0.0,
            "translate": 0.1,
            "scale": 0.5,
            "shear": 0.0,
            "warmup_bias_lr": 0.1,
        },
        "test_cfg": {"score_thr": 0.01, "iou_threshold": 0.7, "max_per_img": 300},
    },
}

SMOKE: dict[str, Any] = {
    "image_size_wh": [160, 160],
    "epochs": 10,
    "batch_size": 8,
    "optimizer": {"type": "AdamW", "lr": 2e-3, "momentum": 0.9, "weight_decay": 0.02},
    "schedule": {"warmup_epochs": 1},
    "augment": {"mosaic": 0.0, "close_mosaic_epochs": 2},
    "architecture": {
        "size": "n",
        # The bias rate is meant for SGD: AdamW would start with a jump.
        "hyperparameters": {"warmup_bias_lr": 0.0, "scale": 0.2, "translate": 0.05},
    },
}
