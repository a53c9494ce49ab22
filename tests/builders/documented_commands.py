"""Find the commands that README, docs and --help show, so that tests can run them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

FENCE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = re.compile(r"Examples?:\n(.*)", re.DOTALL)


def join_continued_lines(text: str) -> list[str]:
    """Return the commands of a shell block: comments dropped, continued lines joined."""
    joined = text.replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    return [" ".join(line.split()) for line in lines if line and not line.startswith("#")]


def commands_in_markdown(path: Path) -> list[str]:
    """Return the commands of every ```bash block of a page, in order."""
    blocks = FENCE.findall(path.read_text(encoding="utf-8"))
    return [command for block in blocks for command in join_continued_lines(block)]


def commands_in_help(group: click.Group) -> dict[str, list[str]]:
    """Return the example commands in the help text of each command of a group."""
    found = {}
    for name, command in group.commands.items():
        examples = EXAMPLES.search((command.help or "") + "\n" + (command.epilog or ""))
        lines = join_continued_lines(examples.group(1)) if examples else []
        found[name] = [line for line in lines if line.startswith(("python ", "make "))]
    return found


def argv(command: str, python: str, train_flags: str) -> list[str]:
    """Turn a shown command into what a test runs: this interpreter, training made tiny."""
    words = shlex.split(command, comments=True)
    if words[0] in ("python", "python3", ".venv/bin/python"):
        words[0] = python
    if words[1:4] == ["-m", "models", "train"]:
        words += shlex.split(train_flags)
    return words
