"""What libraries raise where settings or weights do not fit together, made one message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_tools.ground.errors import UserError

UNFIT = (TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError)


def reason_of(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says, short enough for a message."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


@contextmanager
def refusing_unfit(
    what: str, *, where: str | Path, expected: str, next_step: str
) -> Iterator[None]:
    """Turn what a library raises in the block into a message about the file that is to blame.

    Args:
        what: what does not fit, without the reason.
        where: the file.
        expected: what a right one holds.
        next_step: how to get it.

    Raises:
        UserError: with the library's reason; one raised inside keeps its words and gains the file.
    """
    try:
        yield
    except UserError as error:
        if error.where is not None:
            raise
        raise UserError(
            error.what, where=where, expected=error.expected, next_step=error.next_step or next_step
        ) from error
    except UNFIT as error:
        raise UserError(
            f"{what} ({reason_of(error)})", where=where, expected=expected, next_step=next_step
        ) from error
