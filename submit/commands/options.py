"""Options that several commands of `submit` share."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path, dir_okay=False)
FORMAT_FILE = click.option(
    "--format-file", type=FILE, help="YAML with formats of your own (see docs/submission.md)."
)
READ_FORMAT = click.option(
    "--format",
    "format_name",
    help="Submission format of FILE, if it is not a CSV in the `aistages` format, COCO results or "
    "a prediction file.",
)
