"""Contents that no file of the kit may end in a traceback for."""

from __future__ import annotations

MALFORMED = [
    b"",
    b"null",
    b"3",
    b"[]",
    b'"text"',
    b'{"a": ',
    b"\xff\xfe\x00",
    b"\x00" * 64,
    b"[" * 10_000 + b"]" * 10_000,
    b'{"a": ' * 10_000 + b"1" + b"}" * 10_000,
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": "\\ud800"}',
]
