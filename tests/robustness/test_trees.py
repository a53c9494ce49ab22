"""Folders read, compared and put back."""

from __future__ import annotations

from tests.robustness.trees import contents


def test_an_empty_folder_holds_nothing(tmp_path):
    assert contents(tmp_path) == ({}, {})


def test_files_are_read_again_only_when_they_changed(tmp_path):
    for name in ("same", "longer"):
        (tmp_path / name).write_text("old")
    known = contents(tmp_path)
    known.files["same"] = b"as it was read"
    (tmp_path / "longer").write_text("newer")
    (tmp_path / "link").symlink_to("longer")
    (tmp_path / "dangling").symlink_to("nothing")
    assert contents(tmp_path, known).files == {
        "same": b"as it was read", "longer": b"newer", "link": b"newer",
    }  # fmt: skip
