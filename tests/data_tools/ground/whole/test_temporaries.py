"""What killed writers left is removed, and nothing of those that live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_tools.ground.files import whole_file, write_text
from data_tools.ground.whole.staging import staged_files
from data_tools.ground.whole.temporaries import sweep

WRITER = """
import sys, time
from pathlib import Path
from data_tools.ground.{module} import {writer}
with {writer}(Path({path!r})) as temporary:
    ({inner}).write_text("half")
    print(temporary, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Writer:
    """A process that is in the middle of writing."""

    def __init__(self, path: Path, *, is_folder: bool = False) -> None:
        code = WRITER.format(
            module="whole.staging" if is_folder else "files",
            writer="staged_files" if is_folder else "whole_file",
            path=str(path),
            inner='temporary / "a.txt"' if is_folder else "temporary",
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.temporary = Path(self.process.stdout.readline().strip())
        assert self.temporary.exists()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self) -> None:
        self.process.communicate("")
        assert self.process.returncode == 0


def test_the_next_writer_of_a_file_removes_what_a_killed_one_left(tmp_path):
    writer = Writer(tmp_path / "a.json")
    writer.kill()
    assert writer.temporary.exists()  # SIGKILL leaves no time to tidy up
    write_text(tmp_path / "b.json", "another file")
    assert writer.temporary.exists()  # a file of another name is not its business
    write_text(tmp_path / "a.json", "whole")
    assert names(tmp_path) == ["a.json", "b.json"]


def test_the_next_writer_of_a_set_removes_what_a_killed_one_left(tmp_path):
    writer = Writer(tmp_path, is_folder=True)
    writer.kill()
    assert (writer.temporary / "a.txt").exists()
    with staged_files(tmp_path) as stage:
        write_text(stage / "b.txt", "whole")
    assert names(tmp_path) == ["b.txt"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_living_writer_works_on_is_left_alone(tmp_path, is_folder):
    target = tmp_path / "a.txt"
    writer = Writer(tmp_path if is_folder else target, is_folder=is_folder)
    write_text(target, "by another")
    with staged_files(tmp_path) as stage:
        write_text(stage / "b.txt", "by another")
    sweep(tmp_path)
    assert writer.temporary.exists()
    writer.finish()
    assert target.read_text() == "half"  # all it wrote: it came last
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_sweeping_takes_temporaries_of_dead_writers_at_any_depth_and_nothing_else(tmp_path):
    sweep(tmp_path)
    left = [
        ".next.0123abcd.tmp.pt",
        "deep/.val_epoch3.0123abcd.tmp.parquet",
        "deep/.x.89abcdef.tmp",
    ]
    kept = ["next.pt", "deep/.hidden", "deep/.a.tmp.txt", "deep/x.0123abcd.tmp.txt", ".lock"]
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    for folder in (".stage-0123abcd.tmp", "deep/.stage-89abcdef.tmp"):
        (tmp_path / folder / "inner").mkdir(parents=True)
    (tmp_path / ".b.0123abcd.tmp.txt").symlink_to(tmp_path / "next.pt")
    with whole_file(tmp_path / "deep" / "mine.txt") as temporary:
        temporary.write_text("mine")
        sweep(tmp_path)
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert found == sorted([*kept, "deep/mine.txt"])
    assert names(tmp_path) == [".lock", "deep", "next.pt"]


def test_a_file_that_is_swept_between_making_and_locking_is_made_again(tmp_path, monkeypatch):
    # The other process removes the first one at the worst moment: when it exists, without a lock.
    real, made = os.open, []

    def open_and_lose(path, *arguments, **options):
        descriptor = real(path, *arguments, **options)
        if ".tmp" in str(path) and not made:
            made.append(path)
            Path(path).unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose)
    write_text(tmp_path / "a.txt", "whole")
    assert made
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("lost", ["the stage", "the folder that was made for it"])
def test_a_stage_that_another_process_removes_before_its_lock_is_made_again(
    tmp_path, monkeypatch, lost
):
    folder, real, made = tmp_path / "new", os.open, []

    def lose_and_open(path, *arguments, **options):
        if ".stage" in str(path) and not made:
            made.append(path)
            Path(path).rmdir()
            if lost != "the stage":
                folder.rmdir()
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", lose_and_open)
    with staged_files(folder) as stage:
        write_text(stage / "a.txt", "whole")
    assert made
    assert names(folder) == ["a.txt"]


def test_a_folder_that_another_process_fills_stays(tmp_path):
    with pytest.raises(KeyError), staged_files(tmp_path / "new" / "deep"):
        (tmp_path / "new" / "other").write_text("by another")
        raise KeyError
    assert names(tmp_path / "new") == ["other"]


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError), staged_files(tmp_path / "link"):
        pytest.fail("there is nowhere to write")
