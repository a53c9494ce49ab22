"""What make passes on in MAKEFLAGS: its one-letter options and the variables of its command line.

Read from here and not from make's own expansion, because make would expand `$(...)` in a value.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"(?:\\.|[^\\\s])+", re.DOTALL)
_ASSIGNMENT = re.compile(r"([^\s:+?!=]+)[:+?!]*=(.*)", re.DOTALL)


def options_of(makeflags: str) -> frozenset[str]:
    """Return make's one-letter options without a value, such as `n` and `k`."""
    first = makeflags.partition(" ")[0]
    return frozenset(first) if first.isalpha() else frozenset()


def assignments_of(makeflags: str) -> dict[str, str]:
    """Return the variables given on make's command line, as they were typed.

    Make separates them from its options by ` -- `, puts a backslash before blanks and backslashes,
    and doubles every dollar sign.
    """
    _, marker, text = f" {makeflags}".partition(" -- ")
    found = {}
    for word in _WORD.findall(text) if marker else ():
        match = _ASSIGNMENT.fullmatch(re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL))
        if match:
            found[match[1]] = match[2].replace("$$", "$")
    return found
