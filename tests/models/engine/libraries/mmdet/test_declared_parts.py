"""A config chooses among registered parts; it neither imports, evaluates nor unpickles anything."""

from __future__ import annotations

import copy
import json
import shutil
import sys

import pytest
import torch

from data_tools.ground.errors import UserError
from data_tools.ground.nested import merged
from data_tools.ground.paths import RunPaths
from models.engine.config.resolve import resolve_config
from models.engine.libraries.mmdet.build import build_network
from models.engine.libraries.mmdet.declared_parts import check_parts
from models.engine.libraries.mmdet.library import MODELS
from tests.builders.training_cases import train_tiny_yolox
from tests.models.test_cli import assert_one_message, run, train_arguments

CATEGORIES = [{"id": 1, "name": "a"}]


@pytest.fixture
def marker(tmp_path):
    """Where each planted piece of code leaves its trace."""
    return tmp_path / "executed"


def planted(marker):
    """Return by its name what each way in lays over an architecture."""
    touch = {"type": "subprocess.check_output", "args": ["touch", str(marker)]}
    text = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return {
        "dotted name": {"backbone": touch},
        "inside a list": {"neck": {"layers": [[touch]]}},
        "evaluated name": {"test_cfg": {"nms": {"type": text}}},
        "first weights": {"backbone": {"init_cfg": {"type": "Pretrained", "checkpoint": "x.pth"}}},
        "weights in a list": {"init_cfg": [{"type": "Pretrained", "checkpoint": "x.pth"}]},
        "another registry": {"backbone": {"_scope_": "planted"}},
        "Python config": {"teacher_config": "planted.py"},
        "no text": {"neck": {"type": ["ResNet"]}},
    }


WAYS = tuple(planted("x"))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_built_of_what_is_not_registered(way, marker):
    config = resolve_config("yolox", "smoke", categories=CATEGORIES)
    config["architecture"] = merged(config["architecture"], planted(marker)[way])
    with pytest.raises(UserError, match="no registered part"):
        build_network(config)
    assert not marker.exists()


def test_all_faults_come_in_one_message_with_their_keys():
    with pytest.raises(UserError) as caught:
        check_parts({"type": "os.system", "neck": [{"type": "FPN"}, {"type": "a.b"}]})
    assert "`architecture.type` is 'os.system'" in caught.value.what
    assert "`architecture.neck[1].type` is 'a.b'" in caught.value.what
    check_parts({"type": "RetinaNet", "test_cfg": {"nms": {"type": "nms"}}})
    check_parts({})


@pytest.mark.parametrize("name", ["planted_module", "planted_module.run", "planted_module.Run"])
def test_the_registry_itself_imports_nothing(tmp_path, monkeypatch, marker, name):
    code = f"open({str(marker)!r}, 'w')\ndef run(): ...\n"
    (tmp_path / "planted_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises((RuntimeError, KeyError)):
        MODELS.build({"type": name})
    assert not marker.exists()
    assert "planted_module" not in sys.modules


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    return root, train_tiny_yolox(root)


@pytest.mark.parametrize("way", WAYS)
def test_the_config_of_a_run_folder_runs_nothing(trained, tmp_path, marker, way):
    root, paths = trained
    shutil.copytree(paths.root, tmp_path / "run")
    copied = RunPaths(tmp_path / "run")
    config = json.loads(copied.config_json.read_text())
    config["architecture"] = merged(config["architecture"], planted(marker)[way])
    copied.config_json.write_text(json.dumps(config))
    result = run("predict", copied.root, "--split", "test", "--data", root / "data")
    assert_one_message(result, "no registered part", str(copied.config_json), "architecture.")
    assert not marker.exists()


@pytest.mark.parametrize("key", ["backbone.type", "test_cfg.nms.type", "bbox_head.loss_cls.type"])
def test_an_option_of_the_command_line_runs_nothing(trained, marker, key):
    root, _ = trained
    text = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    setting = f"architecture.{key}={json.dumps(text)}"
    result = run(*train_arguments(root, "--name", "planted", "--set", setting))
    assert_one_message(result, "no registered part", f"architecture.{key}")
    assert not marker.exists()
    assert not (root / "work" / "runs" / "planted").exists()


def test_a_checkpoint_with_code_is_refused(trained, tmp_path, marker):
    root, paths = trained
    shutil.copytree(paths.root, tmp_path / "run")
    copied = RunPaths(tmp_path / "run")

    class Trap:
        def __reduce__(self):
            return exec, (f"open({str(marker)!r}, 'w').close()",)

    torch.save({"model": Trap()}, copied.best_checkpoint)
    result = run("predict", copied.root, "--split", "test", "--data", root / "data")
    assert_one_message(result, "cannot be read", str(copied.best_checkpoint))
    assert not marker.exists()


def test_the_recipes_name_registered_parts_alone():
    from models.registry import MODELS as SPECS

    for spec in SPECS:
        if spec.library == "mmdet":
            for scale in ("full", "smoke"):
                config = resolve_config(spec.name, scale, categories=CATEGORIES)
                check_parts(copy.deepcopy(config["architecture"]))
