"""Command line of `submit`: write a submission, check it, score it, keep the ledger."""

from __future__ import annotations

import click

from data_tools.ground.command_line import CommandGroup
from submit.commands.files import check, formats, write
from submit.commands.log import log
from submit.commands.scores import diagnose, plan, score, table


@click.group(cls=CommandGroup)
def main() -> None:
    """Write, check and score submissions."""


for command in (write, check, plan, diagnose, formats, score, table, log):
    main.add_command(command)
