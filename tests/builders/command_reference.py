"""Write docs/commands.md from `--help`: `python -m tests.builders.command_reference`.

Not a test module; a test compares the page with what this makes of the command lines.
"""

from __future__ import annotations

from pathlib import Path

import click

from tests.builders.packages import WITH_COMMANDS, command_line

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "commands.md"
HEAD = """# Commands

Every command of every command line, as `--help` prints it. This page is generated: `make reference`
writes it again. [What all of them share](command-line.md): output, JSON, exit statuses, completion.
"""
WIDTH = 96


def groups() -> dict[str, click.Group]:
    """Return the command lines by package."""
    return {package: command_line(package) for package in WITH_COMMANDS}


def reference() -> str:
    """Return the whole page."""
    parts = [HEAD, _contents()]
    for package, group in groups().items():
        parts.append(f"## {package}\n\n{_first_line(group)}\n")
        for name, command in group.commands.items():
            parts.append(f"### {package} {name}\n\n```text\n{_help(package, name, command)}\n```\n")
    return "\n".join(parts)


def _contents() -> str:
    lines = [
        f"- `{package}`: " + ", ".join(f"[{name}](#{package}-{name})" for name in group.commands)
        for package, group in groups().items()
    ]
    return "\n".join(lines) + "\n"


def _first_line(group: click.Group) -> str:
    return (group.help or "").strip().partition("\n")[0]


def _help(package: str, name: str, command: click.Command) -> str:
    parent = click.Context(click.Group(), info_name=f"python -m {package}")
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    )
    return command.get_help(context)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
