"""Imports go one way, and heavy ones happen only where they are needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# What each package may import of the others: data_tools <- scoring <- {submit, ensemble, models} <-
# experiments. models, ensemble and submit meet in prediction files only.
MAY_IMPORT = {
    "data_tools": set(),
    "scoring": {"data_tools"},
    "submit": {"data_tools", "scoring"},
    "ensemble": {"data_tools", "scoring"},
    "models": {"data_tools", "scoring"},
    "experiments": {"data_tools", "scoring", "submit", "ensemble", "models"},
}
WITH_COMMANDS = sorted(set(MAY_IMPORT) - {"scoring"})
DETECTOR_LIBRARIES = {"torch", "torchvision", "mmdet", "mmcv", "mmengine", "ultralytics"}
HEAVY = DETECTOR_LIBRARIES | {
    "numba", "polars", "pandas", "sklearn", "scipy", "faster_coco_eval", "pycocotools", "hotcoco",
    "plotly", "matplotlib", "cv2",
}  # fmt: skip


def imports_in(tree: ast.AST) -> Iterator[str]:
    """Full names of all modules imported anywhere under a syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def files_of(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


ALL_FILES = [
    path.relative_to(REPOSITORY).as_posix() for name in MAY_IMPORT for path in files_of(name)
]


def imports_of(file: str) -> set[str]:
    return set(imports_in(ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))))


def test_the_walk_sees_imports_wherever_they_are():
    code = "import a.b as c\ndef f():\n    from d import e\n    import g, h\nif x: from . import i"
    assert set(imports_in(ast.parse(code))) == {"a.b", "d", "g", "h", "."}


def test_there_are_files_to_walk():
    assert len(ALL_FILES) > 50
    assert {file.split("/")[0] for file in ALL_FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("file", ALL_FILES)
def test_directions(file):
    package = file.split("/")[0]
    found = imports_of(file)
    tops = {name.split(".")[0] for name in found}
    assert not any(name.startswith(".") for name in found), "write imports in full"
    wrong = (tops & set(MAY_IMPORT)) - MAY_IMPORT[package] - {package}
    assert not wrong, f"{package} may not import {sorted(wrong)}"
    assert not tops & {"tests", "benchmarks"}
    if package != "models":
        assert not tops & DETECTOR_LIBRARIES


def test_only_one_folder_speaks_to_ultralytics():
    speaking = [
        file for file in ALL_FILES if any(n.startswith("ultralytics") for n in imports_of(file))
    ]
    assert all(file.startswith("models/engine/libraries/ultralytics/") for file in speaking)


@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_a_command_line_loads_nothing_heavy(package):
    code = f"import sys, {package}.cli; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
