"""`python -m tests.robustness`: torture the kit for some minutes and print what did not hold."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from tests.robustness.warm import use_one_thread

ROOM_BYTES = 2 << 30


@click.command()
@click.option("--minutes", type=float, help="How long, the preparation not counted.")
@click.option("--calls", type=int, help="How many calls, in the place of a time.")
@click.option("--seed", default=1, show_default=True, help="Draws everything.")
@click.option("--jobs", type=int, default=os.cpu_count(), show_default=True, help="Workers.")
@click.option(
    "--models/--no-models",
    default=True,
    show_default=True,
    help="Also one worker that kills training and fuzzes the commands of models.",
)
@click.option(
    "--options", "tries", default=3, show_default=True, help="More options tried for each line."
)
@click.option("--lines", type=click.IntRange(min=1), help="At most so many lines of each command.")
@click.option("--only", multiple=True, help="Only commands whose names start with it; repeatable.")
@click.option("--findings", "folder", type=click.Path(path_type=Path), default=Path("findings"),
              show_default=True, help="Where findings are saved.")  # fmt: skip
@click.option(
    "--replay",
    "finding",
    type=click.Path(path_type=Path),
    help="Call the line of this finding once more, and nothing else.",
)
def main(
    minutes: float | None,
    calls: int | None,
    seed: int,
    jobs: int,
    models: bool,
    tries: int,
    lines: int | None,
    only: tuple[str, ...],
    folder: Path,
    finding: Path | None,
) -> None:
    """Kill, fuzz and starve every command; exit status 1 when something did not hold."""
    from tests.robustness.commands import every_command
    from tests.robustness.replay import replay
    from tests.robustness.schedule import Plan, torture
    from tests.robustness.training import toy_command

    if finding is not None:
        case = replay(finding, [*every_command(), toy_command()])
        for found in case.findings:
            click.echo(f"{found.cause}\n{found.detail}\n")
        click.echo(f"status {case.outcome.status}, {len(case.findings)} findings")
        sys.exit(1 if case.findings else 0)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="robustness-", dir=_scratch()) as scratch:
        Path(scratch).chmod(0o755)
        plan = Plan(
            seed=seed,
            minutes=minutes if minutes is not None or calls is not None else 10.0,
            calls=calls,
            jobs=max(jobs, 1),
            models=models,
            tries=tries,
            most_lines=lines,
            only=only,
            folder=folder.resolve(),
            scratch=Path(scratch),
        )
        tally = torture(plan)
    sys.exit(1 if tally.findings else 0)


def _scratch() -> Path | None:
    """Return the folder of files in memory where there is room: nothing waits for a disk there."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free >= ROOM_BYTES else None


if __name__ == "__main__":
    use_one_thread()
    main()
