"""Checkpoints: whole or not at all, the one before kept, damage noticed, tensors only."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from models.engine.training.resuming.checkpoint import (
    load_checkpoint,
    load_last,
    save_checkpoint,
    save_last,
    write_state,
)
from models.engine.training.resuming.random_state import capture_random_state, restore_random_state


def state(step: int) -> dict:
    return {"step": step, "weights": {"a": torch.arange(1000.0) + step}, "names": ["x", None, 1.5]}


def test_nothing_there(tmp_path: Path) -> None:
    assert load_last(RunPaths(tmp_path)) == (None, [])
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(tmp_path / "none.pt")


def test_comes_back_as_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", state(3))
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded["step"] == 3
    assert loaded["names"] == ["x", None, 1.5]
    assert torch.equal(loaded["weights"]["a"], torch.arange(1000.0) + 3)


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    for step in (1, 2, 3):
        save_last(paths, state(step))
    assert load_checkpoint(paths.last_checkpoint)["step"] == 3
    assert load_checkpoint(paths.previous_checkpoint)["step"] == 2
    assert sorted(path.name for path in paths.checkpoints.iterdir()) == ["last.pt", "previous.pt"]


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero_one_block(path: Path) -> None:
    # What a power loss can leave of a file whose blocks were not all written.
    content = bytearray(path.read_bytes())
    start = content.index(torch.arange(1000.0).add(2).numpy().tobytes()[400:800])
    content[start : start + 256] = bytes(256)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_in_half, empty, zero_one_block])
def test_torn_last_falls_back_with_a_message(tmp_path: Path, damage: object) -> None:
    paths = RunPaths(tmp_path)
    save_last(paths, state(1))
    save_last(paths, state(2))
    damage(paths.last_checkpoint)
    loaded, messages = load_last(paths)
    assert loaded["step"] == 1
    assert len(messages) == 1
    assert str(paths.last_checkpoint) in messages[0]
    assert "falling back to the checkpoint before it" in messages[0]


def test_both_torn(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    save_last(paths, state(1))
    save_last(paths, state(2))
    empty(paths.last_checkpoint)
    empty(paths.previous_checkpoint)
    loaded, messages = load_last(paths)
    assert loaded is None
    assert messages[-1].endswith("no earlier one is left")


@pytest.mark.parametrize("renames_done", [0, 1])
def test_power_loss_between_the_renames(
    tmp_path: Path, renames_done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = RunPaths(tmp_path)
    save_last(paths, state(1))
    save_last(paths, state(2))
    real_replace, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if "tmp" in self.suffixes or self.name.startswith("."):
            return real_replace(self, target)
        calls.append(self)
        if len(calls) > renames_done:
            raise KeyboardInterrupt
        return real_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_last(paths, state(3))
    assert load_last(paths)[0]["step"] == 3


def test_full_disk_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = RunPaths(tmp_path)
    save_last(paths, state(1))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_last(paths, state(2))
    assert [path.name for path in paths.checkpoints.iterdir()] == ["last.pt"]
    assert load_last(paths)[0]["step"] == 1


def full_and_covered(state: object, file: object) -> None:
    """What torch.save does where the disk fills up after its first block."""
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc] . unexpected pos 64 vs 48")


@pytest.mark.parametrize("save", [torch.save, full_and_covered])
def test_a_full_disk_is_the_systems_error_not_torchs(
    save: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_state(Path("/dev/full"), {"weights": torch.zeros(100_000)})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/dev/full"


def test_another_failure_of_saving_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(RuntimeError, match="a bug"):
        write_state(Path("/dev/full"), {})


class Stranger:
    """A pickled object that would run code."""

    def __reduce__(self) -> tuple:
        return (print, ("this must not run",))


def test_a_strangers_file_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"model": Stranger()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


def test_random_generators_continue_where_they_were(tmp_path: Path) -> None:
    def draw() -> tuple:
        # Libraries draw from the global generators, old-fashioned as that is.
        numbers = np.random.rand()  # noqa: NPY002
        return random.random(), numbers, torch.rand(3).tolist(), random.gauss(0, 1)

    draw()
    save_checkpoint(tmp_path / "a.pt", {"random": capture_random_state()})
    expected = [draw(), draw()]
    draw()
    restore_random_state(load_checkpoint(tmp_path / "a.pt")["random"])
    assert [draw(), draw()] == expected
