"""Imports go one way, and heavy ones happen only where they are needed."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
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
    "workflow": {"data_tools", "scoring", "submit", "ensemble", "models", "experiments"},
}
# The rooms of each package, a row of them per line, the lowest first. A room is a file or a folder,
# or a folder inside one; it may import rooms of lower rows, and none beside it in its own.
ROOMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "data_tools": (
        ("ground",),
        ("coco",),
        ("pictures", "predictions"),
        ("folds", "sample", "convert"),
        ("pseudo",),
        ("cli",),
    ),
    "scoring": (
        ("table", "leaks"),
        ("metrics",),
        ("confusion", "curves", "disagreement", "mistake_costs", "outcomes", "uncertainty"),
        ("diagnosis", "score"),
    ),
    "submit": (
        ("checks", "printing", "trimming"),
        ("write",),
        ("scores",),
        ("plan",),
        ("ledger",),
        ("commands",),
        ("cli",),
    ),
    "ensemble": (
        ("settings",),
        ("kernels",),
        ("member_table", "members", "one_image"),
        ("engine",),
        ("fuse",),
        ("audit", "sources", "tune"),
        ("explain",),
        ("picture", "text"),
        ("commands",),
        ("cli",),
    ),
    "models": (
        ("registry",),
        ("engine.config", "engine.ops"),
        ("retinanet", "ssd", "tood", "yolo11", "yolox"),
        ("tood_dcn",),
        ("engine.data", "engine.runs", "engine.weights"),
        ("engine.detector",),
        ("engine.training",),
        ("engine.libraries.mmdet", "engine.libraries.ultralytics"),
        ("engine.libraries.choice",),
        ("doctor", "predict", "train"),
        ("cli",),
    ),
    "experiments": (
        ("run_folder",),
        ("factors", "leaks"),
        ("plan",),
        ("catalogue", "compare"),
        ("report",),
        ("cli",),
    ),
    "workflow": (
        ("given", "step"),
        ("commands", "display", "place", "records"),
        ("same_fusion",),
        ("runs", "steps"),
        ("execute", "rules"),
        ("front",),
        ("cli",),
    ),
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


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports_between_files() -> dict[str, set[str]]:
    """Modules of the house that each of its modules imports, `if TYPE_CHECKING` or not."""
    modules = {module_of(file): file for package in MAY_IMPORT for file in files_of(package)}
    graph: dict[str, set[str]] = {}
    for module, file in modules.items():
        names = modules_in(ast.parse(file.read_text(encoding="utf-8")), set(modules))
        graph[module] = (names & set(modules)) - {module} - set(MAY_IMPORT)
    return graph


def modules_in(tree: ast.AST, known: set[str]) -> set[str]:
    """Modules imported under a tree; `from a import b` means `a.b` where that is one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in known else str(node.module))
    return found


def row_of(module: str) -> tuple[int, str] | None:
    """Row and name of a module's room, the most exact one; None where the table has none."""
    package, _, inside = module.partition(".")
    rows = {name: number for number, row in enumerate(ROOMS[package]) for name in row}
    while inside and inside not in rows:
        inside = inside.rpartition(".")[0]
    return (rows[inside], inside) if inside else None


def arrows_upwards(graph: dict[str, set[str]]) -> list[str]:
    """Imports, inside one package, of a room that is not on a lower row."""
    wrong = []
    for module, imported in graph.items():
        here = row_of(module)
        for target in imported if here else ():
            there = row_of(target) if target.split(".")[0] == module.split(".")[0] else None
            if there and here[1] != there[1] and here[0] <= there[0]:
                wrong.append(f"{module} -> {target}")
    return sorted(wrong)


def test_an_arrow_upwards_or_sideways_is_seen_and_one_downwards_is_none():
    low, high = "models.engine.config.resolve", "models.engine.training.loop"
    assert arrows_upwards({high: {low}}) == []
    assert arrows_upwards({low: {high}}) == [f"{low} -> {high}"]
    beside = ("models.engine.libraries.mmdet.build", "models.engine.libraries.ultralytics.train")
    assert arrows_upwards({beside[0]: {beside[1]}}) == [" -> ".join(beside)]
    assert arrows_upwards({high: {"models.engine.training.step"}}) == []


def test_the_graph_sees_modules_imported_from_folders_and_for_types_only():
    code = "from a import b, c\nimport d.e\nif TYPE_CHECKING:\n    from f.g import h"
    assert modules_in(ast.parse(code), {"a.b", "d.e", "f.g"}) == {"a.b", "a", "d.e", "f.g"}


def test_no_import_runs_upwards_between_rooms():
    assert arrows_upwards(imports_between_files()) == []


def test_no_files_import_each_other_in_a_circle():
    try:
        graphlib.TopologicalSorter(imports_between_files()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_room_has_its_row_and_every_row_its_rooms():
    modules = set(imports_between_files()) - set(MAY_IMPORT)
    tops = {module for module in modules if not module.endswith("__main__")}
    folders = {module for module in tops if any(m.startswith(f"{module}.") for m in tops)}
    assert sorted(m for m in tops - folders if row_of(m) is None) == []
    listed = {
        f"{package}.{name}" for package, rows in ROOMS.items() for row in rows for name in row
    }
    assert sorted(listed - tops) == []


@pytest.mark.parametrize(
    ("library", "folder"),
    [
        ("ultralytics", "models/engine/libraries/ultralytics/"),
        ("mmdet", "models/engine/libraries/mmdet/library.py"),
        ("mmcv", "models/engine/libraries/mmdet/library.py"),
        ("mmengine", "models/engine/libraries/mmdet/library.py"),
    ],
)
def test_each_library_has_one_door(library, folder):
    speaking = [
        file for file in ALL_FILES if library in {name.split(".")[0] for name in imports_of(file)}
    ]
    assert speaking
    assert [file for file in speaking if not file.startswith(folder)] == []


@pytest.mark.parametrize("package", WITH_COMMANDS)
def test_a_command_line_loads_nothing_heavy(package):
    code = f"import sys, {package}.cli; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
