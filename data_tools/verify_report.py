"""Show a verification in the terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from data_tools.verify import Verification

_STYLE_OF_LEVEL = {"error": "bold red", "warning": "yellow", "note": "dim"}


def verification_table(result: Verification) -> Group:
    """Return a table of the findings with a closing line."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("level", "file", "check", "count", "what"):
        table.add_column(heading, justify="right" if heading == "count" else "left")
    for finding in result.findings:
        style = _STYLE_OF_LEVEL[finding.level]
        level = Text(finding.level, style=style)
        table.add_row(level, finding.file, finding.check, str(finding.count), finding.what)
        for example in finding.examples:
            table.add_row("", "", "", "", Text(example, style="dim"))
    return (
        Group(table, Text(closing_line(result))) if result.findings else Group(closing_line(result))
    )


def closing_line(result: Verification) -> str:
    """Return one line: how much was checked and what was found."""
    depth = "decoded" if result.pixels_decoded else "headers read only"
    found = ", ".join(
        f"{result.count(level)} kind{'s' if result.count(level) != 1 else ''} of {level}"
        for level in ("error", "warning", "note")
    )
    return f"{result.images} images ({depth}) and {result.boxes} boxes checked: {found}"


def show(result: Verification, console: Console | None = None) -> None:
    """Print a verification."""
    (console or Console(soft_wrap=True)).print(verification_table(result))
