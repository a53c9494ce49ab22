"""What a check found: one form and one set of levels for verify, submit check and the doctor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# "error": it fails, is refused or is wrong; "warning": worth a look, it may cost something;
# "note": good to know; "ok": looked at, and as it should be.
Level = Literal["error", "warning", "note", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        level: how bad it is, see `Level`.
        check: short stable name of the check, for scripts.
        message: what was found, in words.
        count: how many cases (rows, boxes, images, files) there are.
        examples: the first of them.
        fix: the command or step that puts it right; empty where the message says so or there is
            nothing to do.
        file: the file it is about; empty where that is clear.
    """

    level: Level
    check: str
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()
    fix: str = ""
    file: str = ""


def of_level(findings: Iterable[Finding], level: Level) -> tuple[Finding, ...]:
    """Return the findings of a level, in their order."""
    return tuple(finding for finding in findings if finding.level == level)
