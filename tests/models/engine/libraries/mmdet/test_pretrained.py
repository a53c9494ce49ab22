"""`--init`: what is loaded, what stays fresh, what is refused, and that no code in a file runs."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict

import numpy as np
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
from models.engine.weights.checkpoint_files import load_state_dict
from models.engine.weights.published import COCO_FILES, IMAGENET_FILES, WeightFile, fetch

MMDET_MODELS = ("tood", "tood_dcn", "retinanet", "yolox", "ssd")


def config_of(model="retinanet", classes=3, **options):
    categories = [{"id": number, "name": f"class {number}"} for number in range(classes)]
    return resolve_config(model, "smoke", categories=categories, **options)


def detector(model="retinanet", classes=3, seed=0):
    torch.manual_seed(seed)
    return build_network(config_of(model, classes))


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    monkeypatch.setenv("BOXCAMP_WEIGHTS", str(folder))
    return folder


def published(tmp_path, content: bytes, *, name="net"):
    """A file served from disk, named by its hash as publishers do."""
    start = hashlib.sha256(content).hexdigest()[:8]
    file = WeightFile(f"served/{name}-{start}.pth", "a network")
    (tmp_path / "served").mkdir(exist_ok=True)
    (tmp_path / file.path).write_bytes(content)
    return file, (f"file://{tmp_path}/",)


# --- reading files ---


def test_bare_nested_and_wrapped_weights_are_found(tmp_path):
    tensors = {"a.weight": torch.ones(2)}
    for content in (tensors, {"state_dict": tensors}, {"model": tensors, "epoch": 3}):
        path = tmp_path / "file.pth"
        torch.save(content, path)
        assert list(load_state_dict(path)) == ["a.weight"]
    torch.save({"state_dict": {"module.a.weight": torch.ones(2)}}, path)
    assert list(load_state_dict(path)) == ["a.weight"]


class HistoryBuffer:
    """Stands for the classes that mmdet's checkpoints mention."""

    def __init__(self):
        self.values = np.arange(3)


def test_mmdet_checkpoints_with_other_objects_give_their_tensors(tmp_path):
    path = tmp_path / "mmdet.pth"
    meta = {"epoch": 12, "time": np.float64(3), "log": HistoryBuffer(), "names": ("a",)}
    torch.save({"meta": meta, "state_dict": OrderedDict(w=torch.arange(3.0))}, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # what makes the stand-ins necessary
    loaded = load_state_dict(path)
    assert list(loaded) == ["w"]
    assert loaded["w"].tolist() == [0, 1, 2]


class Attack:
    """Unpickling it the ordinary way would create a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (self.target, "w"))


def test_nothing_in_a_checkpoint_is_run(tmp_path):
    path, target = tmp_path / "evil.pth", tmp_path / "created"
    torch.save({"state_dict": {"w": torch.zeros(1)}, "meta": Attack(str(target))}, path)
    assert list(load_state_dict(path)) == ["w"]
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_one_message(tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        load_state_dict(path)
    assert raised.value.where == str(path)


def test_a_truncated_checkpoint_is_one_message(tmp_path):
    path = tmp_path / "cut.pth"
    torch.save({"state_dict": {"w": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UserError):
        load_state_dict(path)


def test_missing_file_and_file_without_tensors(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_state_dict(tmp_path / "none.pth")
    torch.save({"state_dict": {"epoch": 3}}, tmp_path / "empty.pth")
    with pytest.raises(UserError, match="no named tensors"):
        load_state_dict(tmp_path / "empty.pth")


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


# --- published files ---


def test_published_names_carry_their_hash():
    for file in (*IMAGENET_FILES.values(), *COCO_FILES.values()):
        assert len(file.sha256_start) == 8
        int(file.sha256_start, 16)


def test_a_file_is_fetched_once_and_checked(tmp_path, weights_folder):
    file, hosts = published(tmp_path, b"weights")
    path = fetch(file, hosts)
    assert path == weights_folder / file.file_name
    assert path.read_bytes() == b"weights"
    (tmp_path / file.path).unlink()
    assert fetch(file, hosts) == path  # from the cache


def test_the_second_host_answers_for_the_first(tmp_path, weights_folder):
    file, hosts = published(tmp_path, b"weights")
    assert fetch(file, (f"file://{tmp_path}/nowhere/", *hosts)).is_file()


def test_offline_says_which_file_to_put_where(tmp_path, weights_folder):
    file, _ = published(tmp_path, b"weights")
    with pytest.raises(UserError) as raised:
        fetch(file, (f"file://{tmp_path}/nowhere/",))
    message = str(raised.value)
    assert str(weights_folder / file.file_name) in message
    assert f"{tmp_path}/nowhere/{file.path}" in message
    assert "BOXCAMP_WEIGHTS" in message
    assert list(weights_folder.iterdir()) == []


def test_an_altered_download_is_refused_and_leaves_nothing(tmp_path, weights_folder):
    file, hosts = published(tmp_path, b"weights")
    (tmp_path / file.path).write_bytes(b"altered")
    with pytest.raises(UserError, match="hash"):
        fetch(file, hosts)
    assert list(weights_folder.iterdir()) == []


def test_an_altered_file_in_the_cache_is_refused(tmp_path, weights_folder):
    file, hosts = published(tmp_path, b"weights")
    fetch(file, hosts).write_bytes(b"altered")
    with pytest.raises(UserError) as raised:
        fetch(file, hosts)
    assert file.sha256_start in str(raised.value)


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
