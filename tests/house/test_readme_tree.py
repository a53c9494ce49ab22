"""The tree in README.md is the tree: every folder of two levels, each with a clause of its own."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house.test_layout import PACKAGES, tracked_files

REPOSITORY = Path(__file__).resolve().parents[2]
LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w.]+)/ {2,}(?P<clause>\S.*)$")


def folders_in_tree(text: str) -> dict[str, str]:
    """Folder -> its clause, from the drawing in a page."""
    block = text.partition("## Layout")[2].partition("```text\n")[2].partition("```")[0]
    found, parent = {}, ""
    for line in filter(None, map(LINE.match, block.splitlines())):
        if not line["indent"]:
            parent = line["name"]
        found[f"{parent}/{line['name']}" if line["indent"] else parent] = line["clause"]
    return found


def test_a_page_without_a_tree_has_no_folders():
    assert folders_in_tree("# Nothing\n") == {}


def test_the_tree_names_every_folder_and_no_other():
    there = set()
    for name in tracked_files():
        parts = name.split("/")
        there |= {parts[0]} if len(parts) > 1 else set()
        if len(parts) > 2 and parts[0] in PACKAGES:
            there.add("/".join(parts[:2]))
    drawn = folders_in_tree((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert set(drawn) == there
    assert len(set(drawn.values())) == len(drawn), "each has a clause of its own"


def test_files_named_in_the_tree_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Layout")[2].partition("```text\n")[2].partition("```")[0]
    tracked = {Path(name).name for name in tracked_files()}
    named = set(re.findall(r"\w+\.(?:py|css|js|yaml)\b", block))
    assert named and named <= tracked
