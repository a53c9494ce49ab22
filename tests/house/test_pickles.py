"""Nothing is unpickled: a file that one gets from others must not choose what runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.packages import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]
# Modules that run what a file says. `pickle` is imported for the errors that torch raises.
RUN_FILES = ("cloudpickle", "dill", "joblib", "marshal", "shelve")
ONLY_NAMES_OF_PICKLE = {"PickleError", "UnpicklingError"}


def faults_of(source: str) -> Iterator[str]:
    """Yield what a source file does that may run what another file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (f"imports {name}" for name in modules if name.split(".")[0] in RUN_FILES)
            if isinstance(node, ast.ImportFrom) and node.module == "pickle":
                yield "imports from pickle"
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            if node.attr not in ONLY_NAMES_OF_PICKLE:
                yield f"uses pickle.{node.attr}"
        elif isinstance(node, ast.Call):
            yield from _faults_of_call(node)


def _faults_of_call(node: ast.Call) -> Iterator[str]:
    function = ast.unparse(node.func)
    options = {option.arg: ast.unparse(option.value) for option in node.keywords}
    if function == "torch.load" and options.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if "allow_pickle" in options and options["allow_pickle"] != "False":
        yield "allow_pickle"
    if function in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"):
        yield function
    if options.get("shell", "False") != "False":
        yield "a shell"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("import pickle\npickle.load(file)", "uses pickle.load"),
        ("from pickle import loads", "imports from pickle"),
        ("import joblib", "imports joblib"),
        ("eval(text)", "eval"),
        ("subprocess.run(text, shell=True)", "a shell"),
    ],
)
def test_each_fault_is_seen(source: str, fault: str) -> None:
    assert list(faults_of(source)) == [fault]


def test_what_is_allowed_is_allowed() -> None:
    source = (
        "import pickle\ntry: torch.load(p, weights_only=True)\nexcept pickle.UnpicklingError: ..."
    )
    assert list(faults_of(source)) == []


def test_no_file_of_the_project_does_any_of_it() -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}: {fault}"
        for package in ("benchmarks", *PACKAGES)
        for path in (REPOSITORY / package).rglob("*.py")
        for fault in faults_of(path.read_text(encoding="utf-8"))
    }
    assert found == set()
