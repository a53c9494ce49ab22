"""Published weights: fetched once, checked against the hash in their name, or asked for."""

from __future__ import annotations

import hashlib

import pytest

from data_tools.ground.errors import UserError
from models.engine.weights.published import COCO_FILES, IMAGENET_FILES, WeightFile, fetch


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
