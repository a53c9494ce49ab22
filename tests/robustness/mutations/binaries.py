"""Mutations of prediction files, checkpoints and pictures, and of any file as such.

Those of Parquet, checkpoints and pictures use libraries with threads: call them in a child.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np

from tests.robustness.mutations.structure import mutated
from tests.robustness.mutations.values import Traps, odd_text, odd_value


def mutate_parquet(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change a column, a cell, the schema or the metadata of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    metadata = dict(table.schema.metadata or {})
    action = rng.choice(("metadata", "metadata", "cell", "cell", "column", "type", "rows"))
    name = rng.choice(table.column_names)
    if action == "metadata" and metadata:
        key = rng.choice(sorted(metadata))
        try:
            value, note = mutated(json.loads(metadata[key]), rng, traps)
            metadata[key] = json.dumps(value).encode()
        except ValueError:
            metadata[key] = odd_text(rng, traps).encode("utf-8", errors="replace")
            note = "an odd text"
        if rng.random() < 0.1:
            metadata.pop(key)
            note = "gone"
        note = f"metadata {key!r}: {note}"
    elif action == "cell" and table.num_rows:
        rows = table.column(name).to_pylist()
        place = rng.randrange(len(rows))
        rows[place] = odd_value(rng, traps, rows[place])
        table, note = _with_column(table, name, rows), f"column {name}: an odd value in row {place}"
    elif action == "column":
        table = table.drop_columns([name]) if rng.random() < 0.5 else table.rename_columns(
            [column + " " if column == name else column for column in table.column_names]
        )  # fmt: skip
        note = f"column {name} is gone or renamed"
    elif action == "type":
        kind = rng.choice((pa.string(), pa.float64(), pa.int8(), pa.list_(pa.int64()), pa.null()))
        rows = table.column(name).to_pylist()
        table, note = _with_column(table, name, rows, kind), f"column {name} is {kind}"
    else:
        order = rng.sample(range(table.num_rows), table.num_rows)
        take = order if rng.random() < 0.5 else order[: len(order) // 2] * 3
        table, note = table.take(take), "rows in another order or number"
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return note


def _with_column(table: Any, name: str, rows: list[Any], kind: Any = None) -> Any:
    import pyarrow as pa

    try:
        column = pa.array(rows, type=kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        column = pa.array([None if kind else repr(row)[:50] for row in rows])
    return table.set_column(table.column_names.index(name), name, column)


def mutate_checkpoint(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change keys and tensors of a checkpoint, or make it a pickle that runs a command."""
    import torch

    if rng.random() < 0.15:
        torch.save({"state": _Runs(f"touch {traps.executed}")}, path)
        return "a pickle that runs a command"
    content = torch.load(path, map_location="cpu", weights_only=True)
    if rng.random() < 0.05:
        torch.save(rng.choice(([], {}, None, 1, "x")), path)
        return "no mapping"
    for _ in range(rng.choice((1, 1, 2))):
        note = _change_checkpoint(content, rng, traps)
    torch.save(content, path)
    return note


def _change_checkpoint(content: dict, rng: random.Random, traps: Traps) -> str:
    import torch

    container: dict = content
    path = []
    while True:
        key = rng.choice(list(container) or [""])
        path.append(str(key))
        if isinstance(container.get(key), dict) and container[key] and rng.random() < 0.7:
            container = container[key]
            continue
        break
    old = container.get(key)
    where = ".".join(path)
    if rng.random() < 0.3:
        container.pop(key, None)
        return f"{where} is gone"
    if isinstance(old, torch.Tensor):
        new = rng.choice(
            (old.flatten(), old.double(), old[..., :0], torch.full_like(old, float("nan"))
             if old.is_floating_point() else old + 1, None, "x")
        ) if old.dim() else rng.choice((old.reshape(1), None, "x"))  # fmt: skip
    else:
        new = odd_value(rng, traps, old if isinstance(old, (int, float, str, list)) else None)
    container[key] = new
    return f"{where} is {type(new).__name__}"


class _Runs:
    """Unpickling runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def mutate_picture(path: Path, rng: random.Random, traps: Traps) -> str:
    """Make a picture broken, turned, of another size, mode or bit depth, or no picture."""
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    kind = rng.choice(
        ("tail", "orientation", "size", "grey", "alpha", "sixteen", "palette", "huge", "tiny",
         "other format", "trailer", "cmyk", "odd exif")
    )  # fmt: skip
    raw = path.read_bytes()
    target = io.BytesIO()
    suffix = {".jpg": "JPEG", ".png": "PNG"}.get(path.suffix.lower(), "PNG")
    exif = Image.Exif()
    if kind == "tail":
        path.write_bytes(raw[: -rng.choice((1, 20, len(raw) // 2))])
    elif kind in ("orientation", "odd exif"):
        exif[0x0112] = rng.randrange(2, 9) if kind == "orientation" else rng.choice((0, 9, 65535))
        picture.save(target, suffix, exif=exif)
    elif kind == "size":
        picture.resize((rng.choice((1, 7, 300)), rng.choice((1, 9, 200)))).save(target, suffix)
    elif kind == "tiny":
        picture.resize((1, 1)).save(target, suffix)
    elif kind == "grey":
        picture.convert("L").save(target, suffix)
    elif kind == "alpha":
        picture.convert("RGBA").save(target, "PNG")
    elif kind == "sixteen":
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * rng.choice((16, 257))
        Image.fromarray(grey).save(target, "PNG")
    elif kind == "palette":
        picture.convert("P").save(target, "PNG")
    elif kind == "cmyk":
        picture.convert("CMYK").save(target, "JPEG")
    elif kind == "huge":
        path.write_bytes(_huge_png_header(rng.choice((20_000, 60_000, 2**31 - 1))))
    elif kind == "other format":
        picture.save(target, rng.choice(("GIF", "BMP", "TIFF", "WEBP")))
    else:
        path.write_bytes(raw + b"\x00trailer" * 3)
    if target.getvalue():
        path.write_bytes(target.getvalue())
    return f"picture: {kind}"


def _huge_png_header(side: int) -> bytes:
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(
        ">I", zlib.crc32(header)
    )  # fmt: skip


def mutate_any(path: Path, rng: random.Random, traps: Traps) -> str:
    """Cut, flip, empty, link, remove or replace a file, whatever is in it."""
    raw = path.read_bytes()
    kind = rng.choice(
        ("cut", "cut", "flip", "flip", "empty", "gone", "folder", "loop", "link out", "dangling",
         "noise", "bomb")
    )  # fmt: skip
    if kind in ("gone", "folder", "loop", "link out", "dangling"):
        path.unlink()
    if kind == "cut":
        path.write_bytes(raw[: rng.randrange(len(raw) + 1)])
    elif kind == "flip":
        changed = bytearray(raw)
        for _ in range(rng.choice((1, 3, 20))):
            if changed:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(changed))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "link out":
        path.symlink_to(f"{traps.outside}/precious.txt")
    elif kind == "dangling":
        path.symlink_to(f"{traps.outside}/not_there")
    elif kind == "noise":
        path.write_bytes(rng.randbytes(rng.choice((1, 100, 5000))))
    elif kind == "bomb" and path.suffix == ".gz":
        # 8 GiB of blanks in 8 MiB: members of 64 MiB, one after the other.
        path.write_bytes(gzip.compress(b" " * (1 << 26), 1) * 128)
    return f"file: {kind}"
