"""The tree: these folders and files at the top, and no others; every package alike."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = {
    ".ci", "benchmarks", "data_tools", "docs", "ensemble", "experiments", "models", "scoring",
    "submit", "tests",
}  # fmt: skip
FILES = {
    ".gitignore", "Makefile", "README.md", "constraints.txt", "pyproject.toml", "requirements.txt",
}  # fmt: skip
OPTIONAL_FILES = {"LICENSE", ".gitattributes", ".python-version"}
PACKAGES = ("data_tools", "ensemble", "experiments", "models", "scoring", "submit")


def tracked_files() -> list[str]:
    """Files that git knows or would add; without git (an unpacked archive), skip."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in done.stdout.splitlines() if (REPOSITORY / name).exists()]


def test_the_top_of_the_tree():
    names = tracked_files()
    assert {name.split("/")[0] for name in names if "/" in name} == FOLDERS
    top = {name for name in names if "/" not in name}
    assert top >= FILES
    assert top <= FILES | OPTIONAL_FILES


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "scoring"])
def test_every_package_runs_as_a_module(package):
    for name in ("__init__.py", "__main__.py", "cli.py"):
        assert (REPOSITORY / package / name).is_file()


def test_tests_stand_in_the_folders_of_what_they_test():
    rooms = {Path(name).parent for name in tracked_files() if Path(name).name.startswith("test_")}
    tested = {room.relative_to("tests") for room in rooms}
    assert not [str(room) for room in tested - {Path("house")} if not (REPOSITORY / room).is_dir()]


def test_there_is_no_drawer_for_everything():
    names = {Path(name).name for name in tracked_files()}
    assert not names & {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}


def test_files_are_short_enough_to_read():
    # The guide is 250 lines; what passes it noticeably is two files.
    long = {}
    for name in tracked_files():
        if name.endswith(".py") and name.split("/")[0] in PACKAGES:
            lines = len((REPOSITORY / name).read_text(encoding="utf-8").splitlines())
            if lines > 350:
                long[name] = lines
    assert long == {}


def test_nothing_names_a_path_of_the_machine_it_was_written_on():
    pattern = re.compile(r"(?<![\w./-])/(root|home/\w+|work|tmp/\w+)/")
    found = []
    for name in tracked_files():
        path = REPOSITORY / name
        if path.suffix not in (".py", ".md", ".yaml", ".toml", ".txt", ".json", "") or name in (
            ".gitignore",
            "tests/house/test_layout.py",
        ):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []
