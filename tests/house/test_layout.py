"""The tree: these folders and files at the top, and no others; every package alike."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.packages import PACKAGES, WITH_COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = {".ci", "benchmarks", "docs", "tests", *PACKAGES}
FILES = {
    ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "README.md", "SECURITY.md",
    "constraints.txt", "pyproject.toml", "requirements.txt",
}  # fmt: skip
OPTIONAL_FILES = {"LICENSE", ".gitattributes", ".python-version"}
MOST_ENTRIES = 16
MOST_LINES = 300


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


def test_the_top_holds_these_folders_and_files_and_no_others():
    names = tracked_files()
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == FOLDERS
    top = {name for name in names if "/" not in name}
    assert top - OPTIONAL_FILES == FILES


def test_the_packages_with_commands_are_those_with_a_cli():
    assert {name for name in PACKAGES if (REPOSITORY / name / "cli.py").is_file()} == {
        *WITH_COMMANDS
    }


@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_every_command_line_runs_as_a_module(package):
    done = subprocess.run(
        [sys.executable, "-m", package, "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Usage: python -m {package} ")


def test_tests_stand_in_folders_named_as_those_they_test():
    rooms = {Path(name).parent for name in tracked_files() if Path(name).name.startswith("test_")}
    assert rooms and all(room.parts[0] == "tests" for room in rooms)
    tested = {room.relative_to("tests") for room in rooms}
    of_the_whole = {Path("house"), Path("robustness")}
    assert not [str(room) for room in tested - of_the_whole if not (REPOSITORY / room).is_dir()]


def test_there_is_no_drawer_for_everything():
    stems = {Path(part).stem for name in tracked_files() for part in Path(name).parts}
    assert not stems & {"utils", "util", "helpers", "common", "misc"}


def test_a_room_is_not_crowded():
    entries: dict[str, set[str]] = {}
    for name in tracked_files():
        parts = Path(name).parts
        for depth in range(1, len(parts)):
            # What every package has is no sign of crowding.
            alike = ("__init__.py", "__main__.py", "README.md")
            if parts[0] in PACKAGES and parts[depth] not in alike:
                entries.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    assert {room: len(each) for room, each in entries.items() if len(each) > MOST_ENTRIES} == {}


def test_no_file_of_a_package_is_too_long_to_read():
    long = {}
    for name in tracked_files():
        if name.endswith(".py") and name.split("/")[0] in PACKAGES:
            lines = len((REPOSITORY / name).read_text(encoding="utf-8").splitlines())
            if lines > MOST_LINES:
                long[name] = lines
    assert long == {}


def test_every_module_of_a_package_says_its_job_first():
    silent = []
    for name in tracked_files():
        if name.endswith(".py") and name.split("/")[0] in PACKAGES:
            tree = ast.parse((REPOSITORY / name).read_text(encoding="utf-8"))
            if not ast.get_docstring(tree):
                silent.append(name)
    assert silent == []


def test_no_text_file_names_a_path_of_the_machine_it_was_written_on():
    pattern = re.compile(r"(?<![\w./-])/(root|home/\w+|work|tmp/\w+)/")
    found = []
    for name in tracked_files():
        if name in (".gitignore", "tests/house/test_layout.py"):
            continue
        try:
            text = (REPOSITORY / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []
