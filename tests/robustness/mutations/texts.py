"""Mutations of text files: JSON, JSON lines, YAML, CSV, XML, plain lists."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.robustness.mutations.structure import mutated
from tests.robustness.mutations.values import TEXTS, Traps, odd_text, odd_value

Mutator = Callable[[Path, random.Random, Traps], str]


def mutate_json(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change the structure of a JSON file one to three times, or its text."""
    content = _read(path)
    if rng.random() < 0.12:
        return _mutate_json_text(path, content, rng)
    value, notes = json.loads(content), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value, note = mutated(value, rng, traps)
        notes.append(note)
    _write(path, _dumped(value))
    return "; ".join(notes)


def _mutate_json_text(path: Path, content: str, rng: random.Random) -> str:
    kind = rng.choice(("double key", "deep", "long number", "comment", "comma", "surrogate"))
    start = content.find("{") + 1
    inserted = {
        "double key": '"images": [], "model": 1, "images": [],',
        "deep": '"deep": ' + "[" * 100_000 + "]" * 100_000 + ",",
        "long number": '"number": ' + "9" * 6000 + ",",
        "comment": "/* a comment */",
        "comma": ",,",
        "surrogate": '"\\ud800": "\\udfff",',
    }[kind]
    _write(path, content[:start] + inserted + content[start:])
    return f"JSON text: {kind}"


def mutate_json_lines(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change one line of a JSON lines file, or the order and number of lines."""
    lines = _read(path).splitlines()
    if not lines:
        _write(path, odd_text(rng, traps))
        return "an odd text"
    place = rng.randrange(len(lines))
    action = rng.choice(("change", "change", "change", "double", "drop", "tear", "shuffle"))
    note = action
    if action == "change":
        value, note = mutated(json.loads(lines[place]), rng, traps)
        lines[place] = _dumped(value)
    elif action == "double":
        lines.insert(place, lines[place])
    elif action == "drop":
        del lines[place]
    elif action == "tear":
        lines[place] = lines[place][: len(lines[place]) // 2]
    else:
        rng.shuffle(lines)
    _write(path, "\n".join(lines) + "\n")
    return f"line {place}: {note}"


def mutate_yaml(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change the structure of a YAML file, or add what only YAML has."""
    content = _read(path)
    if rng.random() < 0.3:
        kind, addition = rng.choice(_yaml_additions(traps))
        _write(path, addition + content if rng.random() < 0.5 else content + addition)
        return f"YAML: {kind}"
    value, note = mutated(yaml.safe_load(content), rng, traps)
    try:
        text = yaml.safe_dump(value, allow_unicode=rng.random() < 0.5, sort_keys=False)
    except (yaml.YAMLError, ValueError, RecursionError):
        text = _dumped(value)
    _write(path, text)
    return note


def _yaml_additions(traps: Traps) -> list[tuple[str, str]]:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
    )
    return [
        ("an alias bomb", bomb),
        ("a tag that runs", f"run: !!python/object/apply:os.system ['touch {traps.executed}']\n"),
        ("a tag that imports", "kind: !!python/name:os.system ''\n"),
        ("an unknown tag", "kind: !thing {a: 1}\n"),
        ("an unknown alias", "kind: *nothing\n"),
        ("an alias of itself", "kind: &k [*k]\n"),
        ("a double key", "name: one\nname: two\n"),
        ("a merge key", "<<: {name: merged}\n"),
        ("a tab", "\tname: tab\n"),
        ("two documents", "---\nname: two\n"),
        ("a date", "when: 2026-13-45\n"),
        ("a sexagesimal number", "wide: 190:20:30\n"),
        ("a key that is a list", "? [a, b]\n: 1\n"),
        ("a key that is null", "~: 1\n"),
        ("deep brackets", "deep: " + "[" * 3000 + "]" * 3000 + "\n"),
        ("a long number", "number: " + "9" * 6000 + "\n"),
        ("control characters", 'name: "a\\0b\\e[31m"\n'),
    ]


def mutate_csv(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change cells, rows, columns or the dialect of a CSV file."""
    rows = list(csv.reader(io.StringIO(_read(path))))
    if len(rows) < 2:
        _write(path, odd_text(rng, traps))
        return "an odd text"
    row, column = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    changes: dict[str, Callable[[], Any]] = {
        "a cell": lambda: _set_cell(rows, row, column, str(odd_value(rng, traps, rows[row]))),
        "an odd text in a cell": lambda: _set_cell(rows, row, column, odd_text(rng, traps)),
        "a word of a cell": lambda: _change_word(rows, row, column, rng, traps),
        "a word of the first cell": lambda: _change_word(rows, row, 0, rng, traps),
        "a row is gone": lambda: rows.pop(row),
        "a row is there twice": lambda: rows.insert(row, list(rows[row])),
        "rows are shuffled": lambda: rng.shuffle(rows),
        "no header": lambda: rows.pop(0),
        "an index column": lambda: [
            line.insert(0, str(number - 1) if number else "") for number, line in enumerate(rows)
        ],
        "a column is gone": lambda: [line.pop(column) for line in rows if len(line) > column],
        "an empty row": lambda: rows.insert(row, []),
        "a longer row": lambda: rows[row].append("x"),
        "columns change places": lambda: [line.reverse() for line in rows],
    }  # fmt: skip
    name = rng.choice(sorted(changes))
    changes[name]()
    text = io.StringIO()
    dialect = rng.choice((",", ",", ",", ",", ";", "\t"))
    ending = rng.choice(("\n", "\n", "\n", "\r\n", "\r"))
    csv.writer(text, delimiter=dialect, lineterminator=ending).writerows(rows)
    _write(path, text.getvalue())
    return f"{name} (row {row}, column {column}, delimiter {dialect!r}, line end {ending!r})"


def _set_cell(rows: list[list[str]], row: int, column: int, text: str) -> None:
    if column < len(rows[row]):
        rows[row][column] = text


def _change_word(
    rows: list[list[str]], row: int, column: int, rng: random.Random, traps: Traps
) -> None:
    if column >= len(rows[row]):
        return
    words = rows[row][column].split(" ")
    place = rng.randrange(len(words))
    words[place] = str(odd_value(rng, traps, _number_or_text(words[place])))
    rows[row][column] = " ".join(words)


def _number_or_text(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def mutate_lines(path: Path, rng: random.Random, traps: Traps) -> str:
    """Change a word or a line of a plain text file (labels, class lists, XML)."""
    text = _read(path)
    if text.lstrip().startswith("<"):
        return _mutate_xml(path, text, rng, traps)
    lines = text.splitlines() or [""]
    place = rng.randrange(len(lines))
    action = rng.choice(("word", "word", "word", "blank line", "double", "drop", "text", "mark"))
    if action == "word":
        words = lines[place].split() or [""]
        position = rng.randrange(len(words))
        words[position] = str(odd_value(rng, traps, _number_or_text(words[position])))
        lines[place] = " ".join(words)
    elif action == "blank line":
        lines.insert(place, "")
    elif action == "double":
        lines.insert(place, lines[place])
    elif action == "drop":
        del lines[place]
    elif action == "text":
        lines[place] = odd_text(rng, traps)
    else:
        lines[0] = "\ufeff" + lines[0]
    _write(path, "\n".join(lines) + "\n")
    return f"line {place}: {action}"


def _mutate_xml(path: Path, text: str, rng: random.Random, traps: Traps) -> str:
    tag = rng.choice(("name", "xmin", "ymax", "width", "filename", "size", "object", "bndbox"))
    opening, closing = f"<{tag}>", f"</{tag}>"
    entities = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">' + "".join(
        f'<!ENTITY b{n} "{("&b" + (str(n - 1) if n else "") + ";") * 10}">' for n in range(9)
    )
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{traps.outside}/precious.txt">]>'
    kind = rng.choice(("value", "value", "value", "drop", "double", "bomb", "outside", "encoding"))
    start, end = text.find(opening), text.find(closing)
    if kind in ("value", "drop", "double") and start >= 0 and end > start:
        inner, element = text[start + len(opening) : end], text[start : end + len(closing)]
        new = {
            "value": opening + odd_text(rng, traps).replace("\x00", "&#0;") + closing,
            "drop": "",
            "double": element * 2,
        }[kind]
        text = text.replace(element, new, 1)
        note = f"<{tag}> {kind}, was {inner[:40]!r}"
    elif kind == "bomb":
        text = entities + "]>" + text.replace("<filename>", "<filename>&b8;", 1)
        note = "an entity bomb"
    elif kind == "outside":
        text = outside + text.replace("<filename>", "<filename>&x;", 1)
        note = "an entity that reads a file"
    else:
        text = '<?xml version="1.0" encoding="utf-7"?>' + text
        note = "an odd encoding"
    _write(path, text)
    return note


def mutate_encoding(path: Path, rng: random.Random, traps: Traps) -> str:
    """Write the same text in another encoding, with other ends of lines, or with a strange byte."""
    raw = path.read_bytes()
    text = raw.decode("utf-8", errors="replace")
    ways: dict[str, bytes] = {
        "a byte-order mark": b"\xef\xbb\xbf" + raw,
        "UTF-16": text.encode("utf-16"),
        "Latin-1": ("é" + text).encode("latin-1", errors="replace"),
        "CRLF": raw.replace(b"\n", b"\r\n"),
        "CR": raw.replace(b"\n", b"\r"),
        "a NUL": raw[: len(raw) // 2] + b"\x00" + raw[len(raw) // 2 :],
        "an invalid byte": raw[: len(raw) // 3] + b"\xff\xfe" + raw[len(raw) // 3 :],
        "gzipped": gzip.compress(raw),
        "only blanks": b" \n\t\n",
        "a text": rng.choice(TEXTS).encode("utf-8", errors="surrogatepass"),
    }
    name = rng.choice(sorted(ways))
    path.write_bytes(ways[name])
    return f"encoding: {name}"


def _read(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")


def _write(path: Path, text: str) -> None:
    raw = text.encode("utf-8", errors="surrogatepass")
    path.write_bytes(gzip.compress(raw, 1) if path.suffix == ".gz" else raw)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
