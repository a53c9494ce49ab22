"""YAML and JSON read within limits: no key twice, nothing too deep, too long or too large."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_tools.ground.errors import UserError

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True)
class Limits:
    """The most that a file may hold.

    Attributes:
        size: bytes, after unpacking.
        values: texts, numbers, lists and mappings; what an alias repeats counts each time.
        depth: lists and mappings inside each other.
        digits: characters of one number.
    """

    size: int = 256 << 20
    values: int = 20_000_000
    depth: int = 64
    digits: int = 40


WRITTEN = Limits()
# What a person types is small, and reading YAML is slow.
TYPED = Limits(size=256 << 10, values=100_000)

MERGE, DATE, TEXT, FLOAT = (
    f"tag:yaml.org,2002:{kind}" for kind in ("merge", "timestamp", "str", "float")
)


# YAML 1.1 takes `1e-4`, without a point, for a text.
EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


class Refusal(Exception):
    """Why a text is not taken."""


class NoJson(Refusal):
    """The text is no JSON at all."""


def load_declared(path: str | Path) -> Any:
    """Read a JSON file (`.json`, `.json.gz`), or a YAML file, which has any other name.

    Raises:
        UserError: the file is missing, cannot be read, or is beyond the limits.
    """
    path = Path(path)
    is_yaml = not path.name.endswith((".json", ".json.gz"))
    kind, limits = ("YAML", TYPED) if is_yaml else ("JSON", WRITTEN)
    try:
        text = _text_of(path, limits)
        return parse_yaml(text) if is_yaml else parse_json(text)
    except Refusal as error:
        raise UserError(
            f"the file is not valid {kind} ({error})",
            where=path,
            next_step="correct it"
            if is_yaml
            else "write or download it again: it may have been cut off",
        ) from None


def parse_json(text: str, limits: Limits = WRITTEN) -> Any:
    """Return the value of a JSON text.

    Raises:
        NoJson: it is no JSON.
        Refusal: it names a key twice, or is beyond the limits.
    """

    def number(convert: type[int] | type[float]) -> Any:
        def converted(digits: str) -> int | float:
            _check_digits(digits, limits)
            return convert(digits)

        return converted

    try:
        value = json.loads(
            text,
            object_pairs_hook=without_repeats,
            parse_int=number(int),
            parse_float=number(float),
        )
    except RecursionError:
        raise Refusal(f"it is more than {limits.depth} levels deep") from None
    except ValueError as error:
        raise NoJson(str(error)) from None
    _check_values(value, limits)
    return value


def parse_yaml(text: str, limits: Limits = TYPED) -> Any:
    """Return the value of a YAML text; dates stay texts, and keys become texts as in JSON.

    Raises:
        Refusal: it is no YAML, names a key twice, or is beyond the limits.
    """
    import yaml

    try:
        loader = _loader_type()(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node, limits)
        value = loader.construct_document(node)
        _check_kinds(value)
    except RecursionError:
        raise Refusal(f"it is more than {limits.depth} levels deep") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise Refusal(" ".join(str(error).split())) from None
    _check_values(value, limits)
    return value


@cache
def _loader_type() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe loader, with numbers as everyone writes them."""

    Loader.add_implicit_resolver(FLOAT, EXPONENT, list("-+0123456789"))
    return Loader


def _text_of(path: Path, limits: Limits) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(limits.size + 1)
    except FileNotFoundError:
        raise UserError("the file does not exist", where=path, next_step="check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refusal(str(error)) from None
    if len(content) > limits.size:
        raise UserError(
            f"the file holds more than {limits.size >> 10:,} KiB",
            where=path,
            expected="a file of the usual size: is it the right one?",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"it is not UTF-8: {error.reason} at byte {error.start}") from None


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the mapping of a JSON object, for `json.load` as its `object_pairs_hook`.

    Raises:
        Refusal: a key stands twice.
    """
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Refusal(f"the key {key!a} stands twice")
            seen.add(key)
    return result


def _check_digits(digits: str, limits: Limits) -> None:
    if len(digits) > limits.digits:
        raise Refusal(f"a number has {len(digits)} characters, starting {digits[:12]}")


def _check_values(value: Any, limits: Limits) -> None:
    """Refuse a parsed value that is too deep, too large, or has text that no file can hold."""
    level, count = [value], 0
    for depth in range(limits.depth + 2):
        count += len(level)
        if count > limits.values:
            raise Refusal(f"it holds more than {limits.values:,} values")
        if not level:
            return
        if depth >= limits.depth and any(isinstance(entry, (dict, list)) for entry in level):
            raise Refusal(f"it is more than {limits.depth} levels deep")
        below: list[Any] = []
        for entry in level:
            if isinstance(entry, dict):
                below += entry.keys()
                below += entry.values()
            elif isinstance(entry, list):
                below += entry
            elif isinstance(entry, str) and not entry.isascii():
                _check_text(entry)
        level = below


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal(f"the text {text[:40]!a} holds half of a character") from None


def _check_nodes(node: yaml.Node, limits: Limits) -> None:
    """Refuse repeated keys, and aliases that unfold beyond the limits, before they unfold.

    Keys and dates are made texts on the way.
    """
    import yaml

    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size_of(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise Refusal(f"an alias holds itself{_place(node)}")
        if len(open_nodes) >= limits.depth and isinstance(node, yaml.CollectionNode):
            raise Refusal(f"it is more than {limits.depth} levels deep{_place(node)}")
        open_nodes.add(id(node))
        total = 1 + sum(size_of(child) for child in _children(node, limits))
        open_nodes.remove(id(node))
        if total > limits.values:
            raise Refusal(f"it unfolds to more than {limits.values:,} values{_place(node)}")
        sizes[id(node)] = total
        return total

    size_of(node)


def _children(node: Any, limits: Limits) -> list[Any]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in scalars:
            if key.tag != MERGE:
                key.tag = TEXT
        counts = Counter(key.value for key in scalars)
        repeated = next((key for key, count in counts.items() if count > 1), None)
        if repeated is not None:
            raise Refusal(f"the key {repeated!a} stands twice{_place(node)}")
        return [child for pair in node.value for child in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if node.tag.rpartition(":")[2] in ("int", "float"):
        _check_digits(node.value, limits)
    elif node.tag == DATE:
        node.tag = TEXT
    return []


def _place(node: Any) -> str:
    return f", line {node.start_mark.line + 1}"


def _check_kinds(value: Any) -> None:
    """Refuse what YAML can say and JSON cannot."""
    if isinstance(value, (bytes, set, tuple)):
        raise Refusal(f"{str(value)[:40]!a} is neither text, number, list nor mapping")
    if isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            _check_kinds(entry)
