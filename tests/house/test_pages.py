"""Each room's page names what is in the room, and nothing that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.builders.packages import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]
# Every package has a page, and so has this room inside one; a model's page is about the model.
WITH_PAGE = [REPOSITORY / room for room in (*PACKAGES, "models/engine")]
NOT_NAMED = {"__init__.py", "__main__.py", "__pycache__", "README.md"}


def entries(room: Path) -> set[str]:
    """Names of a room's files and folders, these with a slash."""
    inside = [path for path in room.iterdir() if path.name not in NOT_NAMED]
    names = {path.name for path in inside if path.suffix in (".py", ".yaml")}
    return names | {f"{path.name}/" for path in inside if path.is_dir() and any(path.iterdir())}


def tree(page: str) -> dict[str, set[str]]:
    """Names in the first block of code that has any, each with those that are indented under it."""
    blocks = re.findall(r"^```\w*\n(.*?)^```|((?:^(?: {4}.*)?\n)+)", page, re.MULTILINE | re.DOTALL)
    for block in ("".join(found) for found in blocks):
        lines = [(line, names_before_clause(line)) for line in block.splitlines()]
        named = [(len(line) - len(line.lstrip()), names) for line, names in lines if names]
        if named:
            return nested(named)
    return {}


def nested(named: list[tuple[int, list[str]]]) -> dict[str, set[str]]:
    """Put names under the last one that is indented least; `named` has indentations and names."""
    least = min(indentation for indentation, _ in named)
    found: dict[str, set[str]] = {}
    above = ""
    for indentation, names in named:
        if indentation == least:
            found.update({name: found.get(name, set()) for name in names})
            above = names[-1]
        else:
            found[above].update(names)
    return found


def names_before_clause(line: str) -> list[str]:
    """Names at the beginning of a line, up to two spaces: `a.py, b/  what they are for`."""
    names = re.split(r",? ", re.split(r" {2,}", line.strip())[0])
    return names if all(re.fullmatch(r"\w+(\.py|\.yaml|/)", name) for name in names) else []


def test_a_line_names_what_stands_before_its_clause():
    assert names_before_clause("    cli.py, train.py  the commands") == ["cli.py", "train.py"]
    assert names_before_clause("tood/ yolox/    a model each") == ["tood/", "yolox/"]
    assert names_before_clause("more of the clause") == []
    assert names_before_clause("") == []


def test_the_tree_is_the_first_block_that_names_anything():
    page = "# a\n\n```bash\nmake\n```\n\n```\nb.py  does b\nc/    holds c\n```\n"
    assert tree(page) == {"b.py": set(), "c/": set()}
    assert tree("# a\n\n    b.py  does b\n    c/    holds c\n\ntext\n") == tree(page)
    assert tree("# a\n") == {}


def test_what_is_indented_belongs_to_the_folder_above():
    page = "    b.py      does b\n    c/\n        d.py  does d\n\n    c/\n        e.py  does e\n"
    assert tree(page) == {"b.py": set(), "c/": {"d.py", "e.py"}}


@pytest.mark.parametrize("room", WITH_PAGE, ids=lambda room: str(room.relative_to(REPOSITORY)))
def test_the_page_names_each_file_and_folder_and_no_others(room):
    named = tree((room / "README.md").read_text(encoding="utf-8"))
    assert set(named) == entries(room)
    inner = {f"{folder}{name}" for folder, names in named.items() for name in names}
    assert sorted(name for name in inner if not (room / name).exists()) == []
