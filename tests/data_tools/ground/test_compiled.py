"""How kernels are compiled: cached where possible, without the cache where not, never stale."""

from __future__ import annotations

import ast

import numba

from data_tools.ground.compiled import compiled
from tests.builders.packages import PACKAGES


def test_without_a_folder_for_the_cache_kernels_still_compile(monkeypatch):
    njit = numba.njit

    def without_folder(*args, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", without_folder)

    @compiled
    def double(number):
        return 2 * number

    assert double(21) == 42


def test_the_compiler_is_asked_in_one_place_only(repository):
    """So that every kernel has the same cache and the same answer to a read-only folder."""
    asking = {
        file.relative_to(repository).as_posix()
        for file in source_files(repository)
        if any((module or "").split(".")[0] == "numba" for module, _ in imported_names(file))
    }
    assert asking == {"data_tools/ground/compiled.py"}


def test_kernels_read_nothing_of_another_file(repository):
    """Numba watches one file per kernel: code or a constant of another would go stale in it."""
    kernels = 0
    for file in source_files(repository):
        functions = compiled_functions(file)
        kernels += len(functions)
        borrowed = borrowed_names(file)
        for function in functions:
            used = names_in_body(function) & borrowed
            assert not used, f"{file.relative_to(repository)}: {function.name} uses {used}"
    assert kernels > 30  # the test has found them


def test_a_borrowed_constant_is_seen_even_through_a_name_of_the_file(tmp_path):
    file = tmp_path / "kernel.py"
    file.write_text(
        "from data_tools.ground.compiled import compiled\n"
        "from scoring.metrics.coco import MAX_DETECTIONS\n"
        "LIMIT = MAX_DETECTIONS + 1\n"
        "@compiled\n"
        "def above(count: MAX_DETECTIONS) -> bool:\n"
        "    return count > LIMIT\n"
    )
    [function] = compiled_functions(file)
    assert names_in_body(function) & borrowed_names(file) == {"LIMIT"}


def source_files(repository):
    return [file for package in PACKAGES for file in sorted((repository / package).rglob("*.py"))]


def imported_names(file):
    """Pairs of module and imported name, of every import statement."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.asname or alias.name) for alias in node.names)


def compiled_functions(file):
    return [
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and {"compiled", "compiled_part"} & {ast.unparse(mark) for mark in node.decorator_list}
    ]


def borrowed_names(file):
    """Names of other files of the kit, and names of this file that are made from them."""
    borrowed = {
        name for module, name in imported_names(file) if (module or "").split(".")[0] in PACKAGES
    }
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and names_of(node.value) & borrowed:
            borrowed |= {name for target in node.targets for name in names_of(target)}
    return borrowed


def names_in_body(function):
    """Names that a function reads when it runs; annotations are not among them."""
    return {name for statement in function.body for name in names_of(statement)}


def names_of(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
