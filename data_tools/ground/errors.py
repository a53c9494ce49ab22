"""The one exception for a user's mistake; every command turns it into one message and exit 2."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """A mistake that the user can correct: what is wrong, where, what was expected, what to do.

    Args:
        what: one sentence stating what is wrong.
        where: file, row, image or key that it is about.
        expected: what a correct input looks like.
        next_step: the command or edit that fixes it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [
            ("", self.what),
            ("  where:    ", self.where),
            ("  expected: ", self.expected),
            ("  next:     ", self.next_step),
        ]
        return "\n".join(f"{label}{text}" for label, text in parts if text)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments cannot cross a process boundary without this.
        return (_rebuild, (self.what, self.where, self.expected, self.next_step))


def _rebuild(
    what: str, where: str | None, expected: str | None, next_step: str | None
) -> UserError:
    return UserError(what, where=where, expected=expected, next_step=next_step)
