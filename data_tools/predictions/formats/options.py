"""The options `--format` and `--format-file` of commands that read predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., object])
FORMAT_FILE = click.option(
    "--format-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML with formats of your own (see docs/submission.md).",
)


def read_format_options(command: Decorated) -> Decorated:
    """Add `--format` and `--format-file`, as `format_name` and `format_file`, for CSVs to read."""
    named = click.option(
        "--format",
        "format_name",
        help="Format of the CSVs, from `submit formats`; recognised by header and content where it "
        "is not given.",
    )
    return named(FORMAT_FILE(command))
