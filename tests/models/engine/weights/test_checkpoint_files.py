"""Reading checkpoints of others: their tensors are found, and no code in a file runs."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from data_tools.ground.errors import UserError
from models.engine.weights.checkpoint_files import load_state_dict


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
