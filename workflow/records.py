"""What was done with which inputs and settings, by SHA-256: file dates decide nothing.

A record is written after its step has ended well. It holds for as long as the inputs, the settings
and the outputs are those that it names, also in a copy of the work folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

from annotated_types import Ge

from data_tools.ground.declared.checking import EXACT, read_declared
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file, write_json
from data_tools.ground.paths import WorkPaths
from workflow.step import Step


@dataclass(frozen=True)
class Record:
    """One step that was done.

    Attributes:
        kind: as of the step.
        settings: the command's words with roles in the place of paths.
        inputs: role -> SHA-256.
        outputs: role -> SHA-256.
        seconds: how long it took.
    """

    __pydantic_config__ = EXACT

    kind: str
    settings: list[str]
    inputs: dict[str, str]
    outputs: dict[str, str]
    seconds: Annotated[float, Ge(0)]


def read_record(work: WorkPaths, key: str) -> Record | None:
    """Return a step's record; None where there is none that can be read.

    A record only saves work: one that is damaged is as good as none.
    """
    try:
        return read_declared(work.record_json(key), Record, what="the record")
    except (UserError, OSError):
        return None


def write_record(work: WorkPaths, step: Step, seconds: float) -> None:
    """Write down that a step was done, with hashes of what it read and wrote."""
    record = Record(
        step.kind, step.stated(), hashes(step.inputs), hashes(step.outputs), round(seconds, 2)
    )
    write_json(work.record_json(step.key), asdict(record))


def hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """Return role -> SHA-256; empty for a file that is not there."""
    return {role: sha256_of_file(path) if path.is_file() else "" for role, path in files.items()}


def reason_to_run(step: Step, record: Record | None) -> str | None:
    """Say why a step is to be done; None if it is done and everything is as it was."""
    if step.always:
        return "every time"
    if not all(path.is_file() for path in step.outputs.values()):
        return "not done yet"
    if record is None:
        return "nothing says how what is there was made"
    if record.settings != step.stated():
        return "other settings"
    for what, files, known in (
        ("input", step.inputs, record.inputs),
        ("output", step.outputs, record.outputs),
    ):
        if list(files) != list(known):
            return f"other {what}s"
        now = hashes(files)
        changed = [str(files[role]) for role in files if now[role] != known[role]]
        if changed:
            return f"{changed[0]} has changed"
    return None


def expected_seconds(work: WorkPaths, step: Step) -> float | None:
    """Return how long a step takes: as the last time, else as others of its kind, else None."""
    own = read_record(work, step.key)
    if own:
        return own.seconds
    others = [read_record(work, key) for key in work.recorded_steps(step.kind)]
    known = [record.seconds for record in others if record and record.kind == step.kind]
    return mean(known) if known else None
