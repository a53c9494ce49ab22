"""Show a verification in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from data_tools.ground.findings import Finding
from data_tools.pictures.verify import Verification

_STYLE_OF_LEVEL = {"error": "bold red", "warning": "yellow", "note": "dim"}


def finding_lines(finding: Finding) -> list[Text]:
    """Return one line about the finding and one for each example."""
    line = Text(f"{finding.level:8}", style=_STYLE_OF_LEVEL[finding.level])
    line.append(
        f"{finding.file}: {finding.count} {finding.check} ({finding.message})", style="default"
    )
    examples = [Text(f"          {example}", style="dim") for example in finding.examples]
    more = finding.count - len(finding.examples)
    if more > 0:
        examples.append(Text(f"          and {more} more", style="dim"))
    return [line, *examples]


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
    console = console or Console()
    for finding in result.findings:
        for line in finding_lines(finding):
            console.print(line, soft_wrap=True)
    console.print(closing_line(result), soft_wrap=True, markup=False, highlight=False)
