"""Names of files in WORK and in runs are spelled in the files for paths and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.test_imports import ALL_FILES, REPOSITORY

PATHS = "data_tools/ground/paths.py"
SPELLERS = (PATHS, "models/engine/libraries/ultralytics/library_paths.py")
# A literal that is a file's name whole; `*` and parts filled in later stand as `*`.
FILE_NAME = re.compile(
    r"[\w.*-]*[\w*]\.(json|jsonl|pt|csv|parquet|npz|html|log|lock|cache|txt|yaml|yml)|\.lock"
)
# Files that lie elsewhere: what other programs write, what the kit is shipped with.
ELSEWHERE = {
    "data_tools/convert/class_files.py": {"classes.txt", "data.yaml", "data.yml", "dataset.yaml"},
    "data_tools/convert/yolo.py": {"*.txt"},
    "data_tools/predictions/formats/catalogue.py": {"formats.yaml"},
    "models/engine/libraries/ultralytics/arguments.py": {"yolo11*.yaml"},
    "experiments/plan/spec_file.py": {"*.yaml"},
    "experiments/catalogue.py": {"*.yaml"},
    "experiments/factors.py": {"config.log"},  # a key
}


def text_of(node: ast.AST) -> str | None:
    """A literal's text, with `*` for what an f-string fills in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "*" for part in node.values)
    return None


def names_in(code: str) -> set[str]:
    """File names that the code spells, and folders of the work folder that it joins to a path."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        text = text_of(node)
        if text and FILE_NAME.fullmatch(text):
            found.add(text)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            joined = text_of(node.right)
            if joined in FOLDERS:
                found.add(joined)
    return found


FOLDERS = {
    text
    for node in ast.walk(ast.parse((REPOSITORY / PATHS).read_text(encoding="utf-8")))
    if isinstance(node, ast.BinOp)
    and isinstance(node.op, ast.Div)
    and (text := text_of(node.right))
    and "." not in text
}


def test_names_are_found_in_every_spelling():
    assert names_in("") == set()
    assert names_in('"a sentence about train.json"') == set()
    assert names_in('path.suffix == ".json"') == set()
    code = 'a / "run.json"; b.glob("nonfinite*.json"); c / f"val_{fold}.json"; d / "folds"'
    assert names_in(code) == {"run.json", "nonfinite*.json", "val_*.json", "folds"}
    assert names_in('e / ".lock"; with_name(f".{name}.lock")') == {".lock", ".*.lock"}


@pytest.mark.parametrize("file", sorted(set(ALL_FILES) - set(SPELLERS)))
def test_a_file_spells_no_names(file):
    code = (REPOSITORY / Path(file)).read_text(encoding="utf-8")
    assert names_in(code) - ELSEWHERE.get(file, set()) == set()
