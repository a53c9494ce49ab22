"""How kernels are compiled: cached where possible, without the cache where not, never stale."""

from __future__ import annotations

import ast

import numba

from data_tools.ground.compiled import compiled


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


def test_kernel_files_call_no_compiled_function_of_another_file(repository):
    folder = repository / "ensemble" / "kernels"
    files = [folder / f"{name}.py" for name in ("nms", "nmw", "table", "wbf")]
    for file in files:
        imported = {
            node.module
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ensemble")
        }
        assert imported <= {"data_tools.ground.compiled", "ensemble.kernels.layout"}, file.name
