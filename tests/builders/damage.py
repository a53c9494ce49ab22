"""Every way to damage a file, derived from the file: its place, its bytes, each of its keys."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Steps = tuple[str | int, ...]
DEEP = b"[" * 3000 + b"]" * 3000
# A mapping with more entries than this has names for keys: one stands for all.
MOST_KEYS = 40
WRONG_VALUES: dict[str, Any] = {
    "null": None,
    "a text": "text",
    "a number": 3,
    "a list": [],
    "a list of null": [None],
    "a mapping": {},
    "true": True,
    "huge": 10**30,
    "negative": -1,
    "NaN": float("nan"),
}


@dataclass(frozen=True)
class Damage:
    """One damage of one file.

    Attributes:
        key: the key at fault, `settings.weights[0]`; empty where the file as such is.
        kind: what was done there.
        apply: does it to the file at a path.
    """

    key: str
    kind: str
    apply: Callable[[Path], object]


@dataclass(frozen=True)
class FileKind:
    """How a file becomes a tree of lists and mappings, and such a tree a file again.

    Attributes:
        read: content of the file -> tree.
        written: tree, content of the undamaged file -> content.
        is_text: whether the file is a text.
    """

    read: Callable[[bytes], Any]
    written: Callable[[Any, bytes], bytes]
    is_text: bool = True


def damages(path: Path, kind: FileKind) -> list[Damage]:
    """Return every damage of a file: of the file as such, and at each of its keys."""
    content = path.read_bytes()
    found = [*_of_the_place(), *_of_the_bytes(content, kind)]
    tree = kind.read(content)
    for steps, value in _places(tree):
        for name, changed in _changes(tree, steps, value):
            found.append(Damage(_text(steps), name, _write_tree(changed, kind, content)))
    return found


def _write_tree(tree: Any, kind: FileKind, before: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(kind.written(tree, before))


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _of_the_place() -> Iterator[Damage]:
    def folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    def dangling_link(path: Path) -> None:
        path.unlink()
        path.symlink_to("not there")

    yield Damage("", "a folder", folder)
    yield Damage("", "a dangling link", dangling_link)


def _of_the_bytes(content: bytes, kind: FileKind) -> Iterator[Damage]:
    half = len(content) // 2
    changed = {
        "empty": b"",
        "truncated": content[:half],
        "noise": bytes(range(256)) * 4,
        "a number": b"3",
        "a list": b"[null]",
        "a text": b'"text"',
        "deep": DEEP,
        "deep in a mapping": b'{"a": ' + DEEP + b"}",
    }
    if kind.is_text:
        changed |= {
            "UTF-16": content.decode().encode("utf-16"),
            "no UTF-8": content[:half] + b"\xff" + content[half:],
            "NUL": content[:half] + b"\x00" + content[half:],
        }
    if content.startswith(b"{"):
        first = json.dumps(next(iter(json.loads(content)))).encode()
        changed["a key twice"] = b"{" + first + b": 1, " + content[1:]
    for name, new in changed.items():
        yield Damage("", name, _write(new))


def _places(tree: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield the place and value of each key; of a list, of its first entry only."""
    children: list[tuple[str | int, Any]] = []
    if isinstance(tree, dict):
        children = list(tree.items())[: 1 if len(tree) > MOST_KEYS else None]
    elif isinstance(tree, (list, tuple)):
        children = list(enumerate(tree))[:1]
    for step, value in children:
        yield (*steps, step), value
        yield from _places(value, (*steps, step))


def _changes(tree: Any, steps: Steps, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(steps[-1], int):
        yield "missing", _with(tree, steps, lambda holder, key: holder.pop(key))
    for name, new in WRONG_VALUES.items():
        if type(new) is not type(value) or new != value:
            yield name, _set(tree, steps, new)
    if isinstance(value, dict):
        yield "an unknown key", _set(tree, (*steps, "unknown_key"), 1)


def _set(tree: Any, steps: Steps, value: Any) -> Any:
    return _with(tree, steps, lambda holder, key: holder.__setitem__(key, value))


def _with(tree: Any, steps: Steps, change: Callable[[Any, Any], object]) -> Any:
    """Return the tree with a change at a place; what lies beside the way there is shared."""
    result = holder = copy.copy(tree)
    for step in steps[:-1]:
        below = holder[step]
        holder[step] = list(below) if isinstance(below, tuple) else copy.copy(below)
        holder = holder[step]
    change(holder, steps[-1])
    return result


def _text(steps: Steps) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step}"
    return text


def _dumped(tree: Any, before: bytes) -> bytes:
    return json.dumps(tree).encode()


def _read_yaml(content: bytes) -> Any:
    import yaml

    return yaml.safe_load(content)


def _metadata_of(content: bytes) -> tuple[Any, bytes]:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    (key,) = [name for name in table.schema.metadata if name.startswith(b"boxcamp")]
    return table, key


def _read_metadata(content: bytes) -> Any:
    table, key = _metadata_of(content)
    return json.loads(table.schema.metadata[key])


def _with_metadata(tree: Any, before: bytes) -> bytes:
    import pyarrow.parquet as pq

    table, key = _metadata_of(before)
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({key: json.dumps(tree).encode()}), target)
    return target.getvalue()


def _read_checkpoint(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), weights_only=True)


def _saved_checkpoint(tree: Any, before: bytes) -> bytes:
    import torch

    target = io.BytesIO()
    torch.save(tree, target)
    return target.getvalue()


JSON = FileKind(json.loads, _dumped)
YAML = FileKind(_read_yaml, _dumped)  # JSON is YAML
METADATA = FileKind(_read_metadata, _with_metadata, is_text=False)
CHECKPOINT = FileKind(_read_checkpoint, _saved_checkpoint, is_text=False)
