"""What a reader assumed or noticed about a file: said once on stderr and in a command's JSON."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Assumption(UserWarning):
    """Something about a file that was taken for granted to read it, or is odd, with its count."""


def assume(text: str) -> None:
    """Say what was assumed or is odd: a warning in Python, a note under every command line.

    Args:
        text: one sentence that names the file.
    """
    warnings.warn(text, Assumption, stacklevel=3)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Yield a list that fills with what is assumed meanwhile, each sentence once."""
    notes: list[str] = []
    show = warnings.showwarning

    def collect(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, Assumption):
            show(message, category, *place, **more)
        elif str(message) not in notes:
            notes.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", Assumption)
        warnings.showwarning = collect
        yield notes
