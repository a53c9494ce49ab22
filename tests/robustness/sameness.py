"""Whether a file is as an undisturbed run leaves it, but for the times that it records."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

# Parts of keys under which two runs that are the same hold different values.
VOLATILE = (
    "submitted", "time", "started", "finished", "second", "date", "created", "minutes", "resumed",
    "memory",
)  # fmt: skip
# The run of yolo11: a resumed one ends with other numbers, and its library writes files in place.
UNREPEATABLE = "/unrepeatable/"
# Records in work folders grow while a line goes on.
GROWING = ("work/", "out/another/")


def equal(name: str, now: bytes | None, expected: bytes, volatile: bool) -> bool:
    """Whether a file is as expected; times in records may differ where they do anyway.

    Args:
        name: of the file; its ending says how to read it.
        now: its bytes, None if it is missing.
        expected: bytes that an undisturbed run left.
        volatile: two undisturbed runs left different bytes.
    """
    if UNREPEATABLE in name:
        return now is not None
    if now is None or not volatile:
        return now == expected
    if name.endswith(".json"):
        return timeless(json.loads(now)) == timeless(json.loads(expected))
    if name.endswith(".jsonl"):
        return _logged(now) == _logged(expected)
    if name.endswith(".pt"):
        return _same_checkpoint(now, expected)
    return len(now.splitlines()) >= len(expected.splitlines())


def timeless(value: Any) -> Any:
    """Return a JSON value or a checkpoint's content without its times."""
    if isinstance(value, dict):
        return {
            key: timeless(entry)
            for key, entry in value.items()
            if not any(word in str(key).lower() for word in VOLATILE)
        }
    return [timeless(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _logged(content: bytes) -> dict[tuple[Any, ...], Any]:
    """Return what is logged for each step and epoch; where a step is there twice, the later."""
    found = {}
    for line in content.splitlines():
        value = json.loads(line)
        found[value.get("kind"), value.get("epoch"), value.get("step")] = timeless(value)
    return found


def _same_checkpoint(now: bytes, expected: bytes) -> bool:
    import torch

    contents = (torch.load(io.BytesIO(raw), weights_only=True) for raw in (now, expected))
    return _same(*map(timeless, contents))


def _same(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor):
        # Bit for bit: -0 is not 0, and NaN is NaN.
        return (
            isinstance(other, torch.Tensor)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()
        )
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def is_between(name: str, content: bytes) -> bool:
    """Whether a file of the work folder is whole, if only as of an earlier step or epoch."""
    if not name.startswith(GROWING):
        return False
    if name.endswith(".pt"):
        try:
            return zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        except zipfile.BadZipFile:
            return False
    if name.endswith(".parquet"):
        return content[:4] == content[-4:] == b"PAR1"
    if name.endswith(".json"):
        try:
            return isinstance(json.loads(content), dict)
        except ValueError:
            return False
    # A log may end in the middle of a line: its readers count torn lines.
    return name.endswith(".jsonl") or UNREPEATABLE in name
