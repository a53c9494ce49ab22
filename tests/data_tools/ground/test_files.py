"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from data_tools.ground.errors import UserError
from data_tools.ground.files import (
    open_in_place,
    refuse_overwriting,
    sha256_of_file,
    whole_file,
    write_json,
    write_text,
)
from data_tools.ground.whole.staging import staged_files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_the_temporary_name_keeps_the_suffix_for_writers_that_look_at_it(tmp_path):
    with whole_file(tmp_path / "deep" / "a.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        temporary.write_bytes(b"x")
    assert (tmp_path / "deep" / "a.parquet").read_bytes() == b"x"


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    # The temporary name is made to lead to a device that is always full.
    monkeypatch.setattr("data_tools.ground.whole.temporaries.secrets.token_hex", lambda _: "0")
    (tmp_path / ".a.0.tmp.txt").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "a.txt", "text" * 10_000)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_refused_with_their_key(tmp_path, value):
    with pytest.raises(UserError, match=r"`info\.boxes\[1\]` is not a finite number") as caught:
        write_json(tmp_path / "a.json", {"info": {"boxes": [0, value]}}, source=tmp_path / "b")
    assert caught.value.where == str(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_text_is_utf8_with_unix_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize("content", [b"", b"abc", b"x" * (3 << 20)])
def test_sha256(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_staged_files_replace_and_add(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "other.txt").write_text("mine")
    with staged_files(tmp_path) as stage:
        write_text(stage / "a.txt", "new")
        write_text(stage / "deep" / "b.txt", "new")
    found = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*.txt")}
    assert found == {"a.txt": "new", "deep/b.txt": "new", "other.txt": "mine"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "deep", "other.txt"]


def test_a_failed_stage_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), staged_files(tmp_path) as stage:
        write_text(stage / "a.txt", "new")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_failed_stage_leaves_no_new_folder(tmp_path):
    with pytest.raises(RuntimeError), staged_files(tmp_path / "new" / "deeper"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
def test_a_device_or_pipe_is_not_replaced_by_a_file(tmp_path, kind):
    path = tmp_path / "out.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(UserError, match="no ordinary file"):
        write_json(path, {})
    assert not path.is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]


def test_json_is_packed_where_the_name_says_so(tmp_path):
    write_json(tmp_path / "a.json.gz", {"a": 1})
    assert json.loads(gzip.decompress((tmp_path / "a.json.gz").read_bytes())) == {"a": 1}


def test_a_refusal_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", refused)
    with pytest.raises(PermissionError) as caught:
        write_text(tmp_path / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_an_output_that_is_an_input_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    refuse_overwriting([], [])
    refuse_overwriting([tmp_path / "b.json", None], [tmp_path / "a.json", None])
    monkeypatch.chdir(tmp_path)
    for out in ("a.json", "./x/../a.json", "link.json"):
        with pytest.raises(UserError, match="would replace a file that is read"):
            refuse_overwriting([out], [tmp_path / "a.json"])


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENOSPC, errno.EIO])
def test_a_refused_write_names_the_output(tmp_path, number):
    path = tmp_path / "out.json"
    with pytest.raises(OSError) as caught, whole_file(path):
        raise OSError(number, os.strerror(number))
    assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["w", "a"])
def test_what_grows_in_place_is_never_written_through_a_link(tmp_path, mode):
    with open_in_place(tmp_path / "log", mode) as file:
        file.write("new\n")
    assert (tmp_path / "log").read_text() == "new\n"
    for name, target in (("dangling", "nowhere"), ("outside", "log")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(UserError, match="a link stands in the place") as caught:
            open_in_place(tmp_path / name, mode)
        assert caught.value.where == str(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "log").read_text() == "new\n"
