"""`--init` for mmdet's detectors: what is loaded, what stays fresh, what is refused."""

from __future__ import annotations

import pytest
import torch

from data_tools.ground.errors import UserError
from models.engine.config.resolve import resolve_config
from models.engine.libraries.mmdet.build import build_architecture, build_network
from models.engine.libraries.mmdet.pretrained import (
    CLASS_LAYERS,
    load_backbone,
    load_detector,
    load_initial_weights,
)

MMDET_MODELS = ("tood", "tood_dcn", "retinanet", "yolox", "ssd")


def config_of(model="retinanet", classes=3, **options):
    categories = [{"id": number, "name": f"class {number}"} for number in range(classes)]
    return resolve_config(model, "smoke", categories=categories, **options)


def detector(model="retinanet", classes=3, seed=0):
    torch.manual_seed(seed)
    return build_network(config_of(model, classes))


# --- whole detectors ---


@pytest.mark.parametrize("model", MMDET_MODELS)
def test_the_class_layers_are_those_that_change_with_the_classes(model):
    architecture = config_of(model)["architecture"]
    shapes = [
        {
            key: value.shape
            for key, value in build_architecture(architecture, n).state_dict().items()
        }
        for n in (3, 4)
    ]
    changing = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    prefix = CLASS_LAYERS[architecture["bbox_head"]["type"]]
    assert changing == {name for name in shapes[0] if name.startswith(prefix)}
    assert changing


@pytest.mark.parametrize("model", MMDET_MODELS)
def test_other_classes_leave_only_the_class_layers_fresh(model, tmp_path):
    source, target = detector(model, classes=5, seed=1), detector(model, classes=3, seed=2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    path = tmp_path / "source.pth"
    torch.save({"state_dict": source.state_dict(), "meta": {"CLASSES": ("a",) * 5}}, path)
    report = load_detector(target, path)
    prefix = CLASS_LAYERS[config_of(model)["architecture"]["bbox_head"]["type"]]
    assert set(report.fresh) == {name for name in before if name.startswith(prefix)}
    assert prefix.rstrip(".") in report.summary()
    given = source.state_dict()
    for name, value in target.state_dict().items():
        expected = before[name] if name in report.fresh else given[name]
        assert torch.equal(value, expected), name


def test_same_classes_load_everything(tmp_path):
    source, target = detector(seed=1), detector(seed=2)
    torch.save(source.state_dict(), tmp_path / "source.pth")
    report = load_detector(target, tmp_path / "source.pth")
    assert report.fresh == report.unused == ()
    assert "nothing fresh" in report.summary()
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


def test_averages_beside_the_weights_are_ignored(tmp_path):
    weights = detector(seed=1).state_dict()
    both = {
        **weights,
        **{f"ema_{name.replace('.', '_')}": value for name, value in weights.items()},
    }
    torch.save({"state_dict": both}, tmp_path / "source.pth")
    assert load_detector(detector(), tmp_path / "source.pth").unused == ()


def test_another_architecture_is_refused(tmp_path):
    torch.save(detector("yolox").state_dict(), tmp_path / "yolox.pth")
    with pytest.raises(UserError, match="are not in the file"):
        load_detector(detector("retinanet"), tmp_path / "yolox.pth")


def test_another_width_is_refused(tmp_path):
    weights = detector().state_dict()
    weights["backbone.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save(weights, tmp_path / "wide.pth")
    with pytest.raises(UserError) as raised:
        load_detector(detector(), tmp_path / "wide.pth")
    assert "backbone.conv1.weight" in str(raised.value)
    assert "(64, 3, 7, 7)" in str(raised.value)


# --- backbones ---


def test_a_classification_network_fills_the_backbone(tmp_path):
    source, target = detector(seed=1), detector(seed=2)
    weights = dict(source.backbone.state_dict())
    weights["fc.weight"] = torch.zeros(10, 256)
    torch.save(weights, tmp_path / "imagenet.pth")
    report = load_backbone(target, tmp_path / "imagenet.pth")
    assert report.unused == ("fc.weight",)
    assert report.fresh == ()
    assert torch.equal(target.backbone.conv1.weight, source.backbone.conv1.weight)
    neck = target.neck.lateral_convs[0].conv.weight
    assert not torch.equal(neck, source.neck.lateral_convs[0].conv.weight)


def test_offsets_of_deformable_convolution_stay_fresh(tmp_path):
    plain = detector("tood", seed=1).backbone.state_dict()
    torch.save(plain, tmp_path / "imagenet.pth")
    report = load_backbone(detector("tood_dcn", seed=2), tmp_path / "imagenet.pth")
    assert report.fresh
    assert all(".conv_offset." in name for name in report.fresh)


def test_another_backbone_is_refused(tmp_path):
    torch.save(detector("yolox").backbone.state_dict(), tmp_path / "darknet.pth")
    with pytest.raises(UserError, match="are not in the file"):
        load_backbone(detector("retinanet"), tmp_path / "darknet.pth")


# --- the option ---


def test_none_loads_nothing():
    model = detector()
    assert load_initial_weights(model, config_of(init="none")) is None


def test_a_path_loads_a_checkpoint(tmp_path):
    torch.save(detector(seed=1).state_dict(), tmp_path / "source.pth")
    config = config_of(init=str(tmp_path / "source.pth"))
    assert load_initial_weights(detector(), config).fresh == ()


@pytest.mark.parametrize(("model", "init"), [("yolox", "imagenet"), ("retinanet", "coco")])
def test_unpublished_combinations_say_so(model, init):
    config = {**config_of(model, init=init), "scale": "full"}
    with pytest.raises(UserError, match=f"no published {init} weights for {model}"):
        load_initial_weights(detector(model), config)


def test_smoke_models_have_no_published_weights():
    with pytest.raises(UserError, match="full scale only"):
        load_initial_weights(detector("tood"), config_of("tood", init="imagenet"))
