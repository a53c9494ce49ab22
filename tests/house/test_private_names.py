"""Tests go through what a package shows: none imports a name that begins with an underscore."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.builders.packages import PACKAGES
from tests.house.test_imports import REPOSITORY

TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))


def private_imports(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            parts = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (part for part in parts if part.startswith("_"))


def test_an_underscore_is_found_wherever_it_stands():
    assert list(private_imports("")) == []
    assert list(private_imports("from numpy import _core")) == []
    assert list(private_imports("from scoring.table import rows")) == []
    assert list(private_imports("from scoring._a.b import c, _d")) == ["_a", "_d"]


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.relative_to(REPOSITORY).as_posix())
def test_a_test_imports_no_private_name(file):
    assert list(private_imports(file.read_text(encoding="utf-8"))) == []
