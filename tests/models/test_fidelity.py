"""Full scale is the original competition entry's table, and each network is mmdet's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from models.engine.config.resolve import resolve_config
from models.engine.ops import mmcv_extension

CATEGORIES = [{"id": number, "name": f"class {number}"} for number in range(10)]

# The original competition entry's table, one entry per cell that is a setting: dotted key -> value.
TOOD_TABLE = {
    "architecture.type": "TOOD",
    "architecture.backbone.type": "ResNeXt",
    "architecture.backbone.depth": 101,
    "architecture.backbone.groups": 64,
    "architecture.backbone.base_width": 4,
    "architecture.backbone.frozen_stages": 1,
    "architecture.backbone.norm_eval": True,
    "architecture.neck.type": "FPN",
    "architecture.neck.out_channels": 256,
    "architecture.neck.num_outs": 5,
    "architecture.neck.start_level": 1,  # C3
    "architecture.neck.add_extra_convs": "on_output",
    "architecture.bbox_head.type": "TOODHead",
    "architecture.bbox_head.stacked_convs": 6,
    "architecture.bbox_head.num_dcn": 0,
    "architecture.bbox_head.anchor_type": "anchor_free",
    "architecture.bbox_head.anchor_generator.octave_base_scale": 8,
    "architecture.bbox_head.anchor_generator.strides": [8, 16, 32, 64, 128],
    "architecture.bbox_head.initial_loss_cls.type": "FocalLoss",
    "architecture.bbox_head.loss_cls.type": "QualityFocalLoss",
    "architecture.bbox_head.loss_bbox": {"type": "GIoULoss", "loss_weight": 2.0},
    "architecture.train_cfg.initial_epoch": 4,
    "architecture.train_cfg.initial_assigner": {"type": "ATSSAssigner", "topk": 9},
    "architecture.train_cfg.assigner": {"type": "TaskAlignedAssigner", "topk": 13},
    "architecture.train_cfg.alpha": 1,
    "architecture.train_cfg.beta": 6,
    "architecture.test_cfg.nms_pre": 1000,
    "architecture.test_cfg.score_thr": 0.05,
    "architecture.test_cfg.nms": {"type": "nms", "iou_threshold": 0.6},
    "architecture.test_cfg.max_per_img": 100,
    "optimizer.type": "SGD",
    "optimizer.lr": 0.01,
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": False,
    "optimizer.weight_decay": 1e-4,
    "schedule.type": "step",
    "schedule.milestones": [16, 22],
    "schedule.warmup_iterations": 500,
    "epochs": 24,
    "batch_size": 4,
    "augment.flip": 0.5,
    "augment.mosaic": 0.0,
    "augment.mixup": 0.0,
    "augment.affine.probability": 0.0,
    "augment.hsv.probability": 0.0,
    "augment.photometric.probability": 0.0,
    "augment.expand.probability": 0.0,
    "augment.min_iou_crop.probability": 0.0,
    "init": "imagenet",
}
COMMON_TABLE = {"image_size_wh": [1024, 1024], "clip_grad_norm": 35.0, "seed": 42, "neck": "own"}
TABLE: dict[str, dict[str, Any]] = {
    "tood": TOOD_TABLE,
    "tood_dcn": {
        **TOOD_TABLE,
        "architecture.backbone.dcn.type": "DCNv2",
        "architecture.backbone.dcn.deform_groups": 1,
        "architecture.backbone.stage_with_dcn": [False, False, True, True],
        "architecture.bbox_head.num_dcn": 2,
        "batch_size": 6,
    },
    "retinanet": {
        "architecture.type": "RetinaNet",
        "architecture.backbone.type": "SwinTransformer",
        "architecture.backbone.embed_dims": 96,
        "architecture.backbone.depths": [2, 2, 6, 2],
        "architecture.backbone.window_size": 7,
        "architecture.backbone.drop_path_rate": 0.2,
        "architecture.backbone.out_indices": [1, 2, 3],  # stages 2-4
        "architecture.neck.type": "FPN",
        "architecture.neck.out_channels": 256,
        "architecture.neck.num_outs": 5,
        "architecture.neck.add_extra_convs": "on_input",
        "architecture.bbox_head.type": "RetinaHead",
        "architecture.bbox_head.stacked_convs": 4,
        "architecture.bbox_head.anchor_generator.scales_per_octave": 3,
        "architecture.bbox_head.anchor_generator.ratios": [0.5, 1.0, 2.0],
        "architecture.bbox_head.loss_cls.type": "FocalLoss",
        "architecture.bbox_head.loss_bbox.type": "L1Loss",
        "architecture.train_cfg.assigner.type": "MaxIoUAssigner",
        "architecture.train_cfg.assigner.pos_iou_thr": 0.5,
        "architecture.train_cfg.assigner.neg_iou_thr": 0.4,
        "architecture.test_cfg.nms": {"type": "nms", "iou_threshold": 0.5},
        "optimizer.type": "SGD",
        "optimizer.lr": 0.01,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 1e-4,
        "schedule.type": "step",
        "schedule.milestones": [8, 11],
        "epochs": 12,
        "batch_size": 4,
        "augment.flip": 0.5,
        "augment.mosaic": 0.0,
        "init": "imagenet",
    },
    "yolox": {
        "architecture.type": "YOLOX",
        "architecture.backbone.type": "CSPDarknet",
        "architecture.backbone.deepen_factor": 1.33,
        "architecture.backbone.widen_factor": 1.25,
        "architecture.neck.type": "YOLOXPAFPN",
        "architecture.bbox_head.type": "YOLOXHead",
        "architecture.bbox_head.feat_channels": 320,
        "architecture.bbox_head.loss_cls.type": "CrossEntropyLoss",
        "architecture.bbox_head.loss_cls.use_sigmoid": True,
        "architecture.bbox_head.loss_bbox.type": "IoULoss",
        "architecture.bbox_head.loss_l1.type": "L1Loss",
        "architecture.train_cfg.assigner": {"type": "SimOTAAssigner", "center_radius": 2.5},
        "architecture.test_cfg.score_thr": 0.01,
        "architecture.test_cfg.nms": {"type": "nms", "iou_threshold": 0.65},
        "optimizer.type": "SGD",
        "optimizer.lr": 0.01,
        "optimizer.momentum": 0.9,
        "optimizer.nesterov": True,
        "optimizer.weight_decay": 5e-4,
        "optimizer.norm_weight_decay": 0.0,
        "optimizer.bias_weight_decay": 0.0,
        "schedule.type": "yolox",
        "schedule.warmup_iterations": 0,
        "schedule.warmup_epochs": 5,
        "schedule.no_augment_epochs": 15,
        "augment.close_mosaic_epochs": 15,
        "ema.momentum": 1e-4,
        "epochs": 300,
        "batch_size": 8,
        "augment.mosaic": 1.0,
        "augment.affine.probability": 1.0,
        "augment.affine.scale": [0.1, 2.0],
        "augment.mixup": 1.0,
        "augment.hsv.probability": 1.0,
        "augment.flip": 0.5,
        # The table says ImageNet for all; for this backbone nobody published such weights.
        "init": "none",
    },
    "ssd": {
        "architecture.type": "SingleStageDetector",
        "architecture.backbone.type": "SSDVGG",
        "architecture.backbone.depth": 16,
        "architecture.neck.type": "SSDNeck",
        "architecture.bbox_head.type": "SSDHead",
        "architecture.train_cfg.neg_pos_ratio": 3,
        "architecture.train_cfg.smoothl1_beta": 1.0,
        "architecture.train_cfg.assigner.type": "MaxIoUAssigner",
        "architecture.train_cfg.assigner.pos_iou_thr": 0.5,
        "architecture.train_cfg.assigner.neg_iou_thr": 0.5,
        "architecture.test_cfg.score_thr": 0.02,
        "architecture.test_cfg.nms": {"type": "nms", "iou_threshold": 0.45},
        "architecture.test_cfg.max_per_img": 200,
        "optimizer.type": "SGD",
        "optimizer.lr": 0.002,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 5e-4,
        "schedule.type": "step",
        "schedule.milestones": [16, 22],
        "epochs": 24,
        "repeat": 5,
        "batch_size": 16,
        "augment.expand.probability": 0.5,
        "augment.min_iou_crop.probability": 1.0,
        "augment.photometric.probability": 1.0,
        "augment.flip": 0.5,
        "init": "imagenet",
    },
}

# mmdet's own file for each architecture, inside its package.
STOCK_CONFIG = {
    "tood": "tood/tood_x101-64x4d_fpn_ms-2x_coco.py",
    "tood_dcn": "tood/tood_x101-64x4d-dconv-c4-c5_fpn_ms-2x_coco.py",
    "retinanet": "swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py",
    "yolox": "yolox/yolox_x_8xb8-300e_coco.py",
    "ssd": "ssd/ssd512_coco.py",
}
# Where our architecture dictionaries differ from those files on purpose.
NOT_COMPARED = {
    "num_classes",  # the data's, not COCO's
    "init_cfg",  # `--init` loads weights
    "batch_augments",  # YOLOX's multi-scale is the option augment.multi_scale
    "input_size", "basesize_ratio_range", "min_sizes", "max_sizes",  # SSD's anchors for 1024 px
    "deformable_groups", "deform_groups",  # old and new name of one argument
    "_scope_",
}  # fmt: skip


def full_config(model: str) -> dict[str, Any]:
    return resolve_config(model, "full", categories=CATEGORIES)


def value_at(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


def stock_architecture(model: str) -> Any:
    import mmdet
    from mmengine.config import Config

    mmcv_extension.install()
    folder = mmdet.__path__[0] + "/.mim/configs/"
    return Config.fromfile(folder + STOCK_CONFIG[model]).model


def without_weight_files(architecture: Any) -> Any:
    """The same network; the kit builds nothing that names a file of weights to load."""
    backbone = {key: value for key, value in architecture["backbone"].items() if key != "init_cfg"}
    return {**architecture, "backbone": backbone}


def shapes_of(architecture: Any) -> dict[str, tuple[int, ...]]:
    from models.engine.libraries.mmdet.build import build_architecture

    # Shapes need no memory; Swin alone computes with numbers while it is built.
    is_swin = architecture["backbone"]["type"] == "SwinTransformer"
    with nullcontext() if is_swin else torch.device("meta"):
        model = build_architecture(architecture, 10)
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("model", TABLE)
def test_full_recipe_is_the_original_entrys_table(model):
    config = full_config(model)
    expected = {**COMMON_TABLE, **TABLE[model]}
    assert {key: value_at(config, key) for key in expected} == expected


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in NOT_COMPARED}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


@pytest.mark.parametrize("model", STOCK_CONFIG)
def test_architecture_is_mmdets_own_config(model):
    ours = plain(full_config(model)["architecture"])
    stock = plain(stock_architecture(model).to_dict())
    if model == "tood":
        # Stated as 0 so that `--set architecture.bbox_head.num_dcn=2` is a known key.
        assert ours["bbox_head"].pop("num_dcn") == 0
    if model == "ssd":
        # The VGG and SSDNeck defaults, stated.
        stock["neck"]["l2_norm_scale"] = 20
    assert ours == stock


@pytest.mark.parametrize("model", STOCK_CONFIG)
def test_weights_have_mmdets_names_and_shapes(model):
    ours = shapes_of(full_config(model)["architecture"])
    stock = shapes_of(without_weight_files(stock_architecture(model).to_dict()))
    assert len(ours) > 70
    assert ours == stock


def test_ssd_anchors_are_twice_those_of_512_pixels():
    from models.engine.libraries.mmdet.library import ConfigDict

    mmcv_extension.install()
    from mmdet.registry import TASK_UTILS

    stock = stock_architecture("ssd")["bbox_head"]["anchor_generator"]
    small = TASK_UTILS.build(ConfigDict(stock))
    ours = full_config("ssd")["architecture"]["bbox_head"]["anchor_generator"]
    large = TASK_UTILS.build(ConfigDict(ours))
    for enlarged, original in zip(large.base_anchors, small.base_anchors, strict=True):
        sides = (enlarged[:, 2:] - enlarged[:, :2], original[:, 2:] - original[:, :2])
        torch.testing.assert_close(sides[0], 2 * sides[1])
    assert large.strides == small.strides


@pytest.mark.parametrize("model", ["yolox", "ssd"])
def test_neck_fpn_is_the_original_entrys_controlled_comparison(model):
    config = resolve_config(model, "full", categories=CATEGORIES, overrides=["neck=fpn"])
    neck = config["architecture"]["neck"]
    assert (neck["type"], neck["out_channels"], config["neck"]) == ("FPN", 256, "fpn")
    # Nothing but the neck and the width of the head's input changes.
    own = full_config(model)
    for each in (own, config):
        each.pop("neck")
        each["architecture"].pop("neck")
        each["architecture"]["bbox_head"].pop("in_channels")
    assert config == own
