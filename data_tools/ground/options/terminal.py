"""Text from files made fit for a terminal: nothing in it acts, turns round or runs on for pages."""

from __future__ import annotations

import re

# Control characters but newline and tab, marks and overrides of direction, separators that a
# terminal may take for a newline, and halves of characters, which cannot be written at all.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff]"
)
LINE_LENGTH, LINES = 4000, 200


def printable(text: str) -> str:
    r"""Return a text with escapes such as `\x1b` or `\u202e` in place of characters that act."""
    return _ACTING.sub(lambda match: ascii(match[0])[1:-1], text)


def printable_json(text: str) -> str:
    r"""Return the same JSON with `\u001b` in place of characters that act on a terminal."""
    return _ACTING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def message_text(text: str) -> str:
    """Return a message without characters that act, its lines and their number cut to be read."""
    lines = printable(text).split("\n")
    shown = [
        line
        if len(line) <= LINE_LENGTH
        else f"{line[:LINE_LENGTH]}... ({len(line) - LINE_LENGTH:,} more characters)"
        for line in lines[:LINES]
    ]
    if len(lines) > LINES:
        shown.append(f"... ({len(lines) - LINES:,} more lines)")
    return "\n".join(shown)
