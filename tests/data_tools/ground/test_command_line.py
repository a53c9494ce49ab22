"""A user's mistake ends with one message and status 2; a bug keeps its traceback."""

from __future__ import annotations

import errno
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from data_tools.ground.command_line import CommandGroup
from data_tools.ground.errors import UserError
from tests.builders.packages import WITH_COMMANDS


def group_raising(error: BaseException) -> click.Group:
    @click.group(cls=CommandGroup)
    def main() -> None:
        """Group."""

    @main.command()
    def go() -> None:
        """Fail."""
        raise error

    return main


def test_a_user_error_says_what_where_expected_and_next():
    error = UserError("it is wrong", where="a.json", expected="right", next_step="fix it")
    result = CliRunner().invoke(group_raising(error), ["go"])
    assert result.exit_code == 2
    expected = "it is wrong\n  where:    a.json\n  expected: right\n  next:     fix it\n"
    assert result.stderr == f"Error: {expected}"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file", "x.txt"), "check the spelling"),
        (OSError(28, "No space left on device", "out.json"), "free some space"),
        (PermissionError(13, "Permission denied", "out.json"), "check the permissions"),
        (NotADirectoryError(20, "Not a directory", "f/out"), "a file stands where a folder"),
        (FileExistsError(17, "File exists", "f"), "a file stands where a folder"),
        (OSError(errno.EFBIG, "File too large", "out.json"), "ulimit -f"),
        (OSError(errno.ELOOP, "Too many levels", "link"), "a link leads back to itself"),
        (OSError(errno.EMFILE, "Too many open files", "a.jpg"), "ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files", "a.jpg"), "end other programs"),
        (OSError(errno.EIO, "Input/output error", "a.jpg"), "the disk does not answer"),
        (OSError(errno.EBUSY, "Busy", "a.jpg"), "another program holds it"),
        (OSError(errno.ESTALE, "Stale file handle", "a.jpg"), "mount it again"),
    ],
)
def test_refusals_of_the_system_are_users_mistakes(error, text):
    result = CliRunner().invoke(group_raising(error), ["go"])
    assert result.exit_code == 2
    assert error.filename in result.stderr
    assert text in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "memory ran out\n"),
        (MemoryError("Unable to allocate 7.5 TiB"), "memory ran out (Unable to allocate 7.5 TiB)"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (RuntimeError("Symlink loop from '/data/link'"), "where:    /data/link"),
    ],
)
def test_what_ran_out_is_a_message(error, text):
    result = CliRunner().invoke(group_raising(error), ["go"])
    assert result.exit_code == 2
    assert text in result.stderr


@pytest.mark.parametrize(
    "bug", [ZeroDivisionError("bug"), RuntimeError("bug"), OSError(errno.EBADF, "bug")]
)
def test_a_bug_is_not_dressed_up(bug):
    result = CliRunner().invoke(group_raising(bug), ["go"])
    assert result.exception is bug


def test_ctrl_c_ends_with_status_130():
    result = CliRunner().invoke(group_raising(KeyboardInterrupt()), ["go"])
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "stopped by Ctrl-C"


@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_a_reader_that_leaves_is_no_mistake(package, repository):
    with subprocess.Popen(
        [sys.executable, "-m", package, "--help"] if package != "models" else
        [sys.executable, "-m", package, "list"],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() in (0, 1)


def test_a_full_disk_behind_standard_output_is_a_message(repository):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "models", "list"],
            cwd=repository, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_message_does_nothing_to_the_terminal():
    error = UserError("\x1b[2Jgone", where="a\u202egpj.json")
    result = CliRunner().invoke(group_raising(error), ["go"])
    assert "\\x1b[2Jgone" in result.stderr
    assert "a\\u202egpj.json" in result.stderr


def test_an_unknown_command_is_answered_with_the_known_ones():
    result = CliRunner().invoke(group_raising(UserError("x")), ["og"])
    assert result.exit_code == 2
    assert "no command 'og'; the commands are: go" in result.stderr


def test_an_unknown_option_ends_with_status_2():
    result = CliRunner().invoke(group_raising(UserError("x")), ["go", "--fast"])
    assert result.exit_code == 2
    assert "--fast" in result.stderr


def test_a_user_error_crosses_process_boundaries():
    error = UserError("a", where="b", expected="c", next_step="d")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


STUCK = """
import sys, time
from pathlib import Path
import click
from data_tools.ground.command_line import CommandGroup
from data_tools.ground.files import whole_file
from data_tools.ground.whole.staging import staged_files

@click.group(cls=CommandGroup)
def main(): pass

@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def go(folder):
    with staged_files(folder / "set"), whole_file(folder / "a.txt") as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

main()
"""


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGINT, 130, "stopped by Ctrl-C"), (signal.SIGTERM, 143, "stopped by SIGTERM")],
)
def test_a_command_that_is_stopped_says_so_and_leaves_nothing(
    tmp_path, repository, number, status, said
):
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, "go", str(tmp_path)],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == status
        assert process.stderr.read().splitlines() == [said]
    assert list(tmp_path.iterdir()) == []


def test_drawing_the_sample_can_be_stopped(tmp_path, repository):
    with subprocess.Popen(
        [sys.executable, "-m", "data_tools", "sample", "--out", str(tmp_path / "sample")],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        until = time.monotonic() + 60
        while not list(tmp_path.rglob("*.jpg")):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.terminate()
        assert process.wait(timeout=30) == 143
        assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


@click.group(cls=CommandGroup)
def paths() -> None:
    """Group."""


@paths.command()
@click.argument("source", type=click.Path(path_type=Path), default=".")
@click.option("--out", type=click.Path(path_type=Path), default="")
@click.option("--settings")
@click.option("--note")
def go(**given: object) -> None:
    """Print what was given."""
    click.echo(sorted(given))


@pytest.mark.parametrize("words", [["--out="], ["--out", ""], [""], ["a", "--settings", ""]])
def test_an_empty_path_is_refused_and_not_taken_for_the_current_folder(words):
    """`--out "$OUT"` with a variable that is not set wrote into the current folder."""
    result = CliRunner().invoke(paths, ["go", *words])
    assert result.exit_code == 2
    assert "is an empty path" in result.stderr


@pytest.mark.parametrize("words", [[], ["."], ["a", "--out", "."], ["./"], ["--note", ""]])
def test_the_current_folder_may_be_named_and_other_texts_may_be_empty(words):
    assert CliRunner().invoke(paths, ["go", *words]).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["data_tools", "stats", "LINK"],
        ["submit", "check", "LINK", "--images", "LINK"],
        ["ensemble", "fuse", "LINK", "--images", "LINK", "--out", "OUT.parquet"],
        ["experiments", "report", "--work", "LINK"],
        ["models", "predict", "LINK", "--split", "val"],
    ],
    ids=lambda words: words[0],
)
def test_a_loop_of_links_is_a_message(words, tmp_path, repository):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    names = {"LINK": str(tmp_path / "one"), "OUT.parquet": str(tmp_path / "out.parquet")}
    done = subprocess.run(
        [sys.executable, "-m", *(names.get(word, word) for word in words)],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert names["LINK"] in done.stderr
    assert "Traceback" not in done.stderr
