"""How the faults of a declared value are told: key, what was found, what was expected."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

LONGEST_SHOWN = 60
MOST_TOLD = 20
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "model_type": "a mapping",
    "none_required": "nothing (null)",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "string_too_short": "text of {min_length} or more characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} or fewer entries",
}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        path: keys and positions that lead to it.
        text: the sentence about it.
        is_unknown: it is a key that should not be there.
    """

    path: tuple[str | int, ...]
    text: str
    is_unknown: bool = False


def faults_of(
    value: Any, errors: Sequence[Mapping[str, Any]], kind: Any, prefix: str = ""
) -> list[Fault]:
    """Return the faults that pydantic found, one for each place, in its order.

    Args:
        value: the checked value.
        errors: pydantic's list.
        kind: the type that it was checked against.
        prefix: key under which the value stands.
    """
    expected: dict[tuple[tuple[str | int, ...], str], list[str]] = {}
    for error in errors:
        path, sort = _path_in(value, error), _sort_of(error)
        expected.setdefault((path, sort), []).append(_expected(error))
    return [
        _fault(value, path, sort, list(dict.fromkeys(texts)), kind, prefix)
        for (path, sort), texts in expected.items()
    ]


def message_of(faults: Sequence[Fault]) -> str:
    """Return one fault as a sentence, several as a list."""
    if len(faults) == 1:
        return faults[0].text
    lines = [f"\n  - {fault.text}" for fault in faults[:MOST_TOLD]]
    if len(faults) > MOST_TOLD:
        lines.append(f"\n  - and {len(faults) - MOST_TOLD} more")
    return f"{len(faults)} faults:" + "".join(lines)


def keys_at(faults: Sequence[Fault], kind: Any, prefix: str = "") -> str | None:
    """Return the valid keys beside each unknown one; None where no key is unknown."""
    places = dict.fromkeys(fault.path[:-1] for fault in faults if fault.is_unknown)
    told = []
    for place in places:
        known = ", ".join(_keys_of(kind, place))
        told.append(f"in `{key_text(place, prefix)}`: {known}" if place or prefix else known)
    return "keys " + "; ".join(told) if told else None


def key_text(path: Sequence[str | int], prefix: str = "") -> str:
    """Return `base.seeds[2]` for a path; a key that cannot be printed is escaped."""
    text = prefix
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if step.isprintable() else ascii(step)[1:-1]
            text += f"{'.' if text else ''}{shortened(shown)}"
    return text


def did_you_mean(key: str, known: Sequence[str]) -> str:
    """Return ` (did you mean `x`?)` for the closest known key; nothing where none is close."""
    close = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def shown_value(value: Any) -> str:
    """Return a value as JSON, escaped and shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return shortened(text if text.isprintable() else json.dumps(value))


def shortened(text: str) -> str:
    """Return a text of at most `LONGEST_SHOWN` characters."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _sort_of(error: Mapping[str, Any]) -> str:
    if error["type"] in UNKNOWN:
        return "unknown"
    if error["type"] in ("missing", "missing_argument"):
        return "missing"
    return "key" if error["loc"] and error["loc"][-1] == "[key]" else "value"


def _path_in(value: Any, error: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Return the error's place without the names of types that pydantic puts in between."""
    path: list[str | int] = []
    location = error["loc"]
    for position, step in enumerate(location):
        if _has(value, step):
            value = value[step]
        elif _sort_of(error) != "missing" or position < len(location) - 1:
            continue
        path.append(step)
    return tuple(path)


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _expected(error: Mapping[str, Any]) -> str:
    context = error.get("ctx") or {}
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] in EXPECTED:
        return EXPECTED[error["type"]].format(
            **{key: _plain(each) for key, each in context.items()}
        )
    return str(error["msg"]).removeprefix("Input should be ")


def _plain(bound: Any) -> Any:
    return f"{bound:g}" if isinstance(bound, float) else bound


def _fault(
    value: Any,
    path: tuple[str | int, ...],
    sort: str,
    expected: list[str],
    kind: Any,
    prefix: str,
) -> Fault:
    name = key_text(path, prefix)
    if sort == "unknown":
        meant = did_you_mean(str(path[-1]), _keys_of(kind, path[:-1]))
        return Fault(path, f"unknown key `{name}`{meant}", is_unknown=True)
    if sort == "missing":
        return Fault(path, f"`{name}` is missing")
    if sort == "key":
        return Fault(path, f"the key `{name}` is not {' or '.join(expected)}")
    for step in path:
        value = value[step]
    found = f"is {shown_value(value)}, expected {' or '.join(expected)}"
    return Fault(path, f"`{name}` {found}" if name else f"the content {found}")


def _keys_of(kind: Any, path: Sequence[str | int]) -> list[str]:
    """Return the keys that the type has at a path, in its order."""
    found = _types_at(kind, path)
    return [entry.name for one in found if is_dataclass(one) for entry in fields(one)]


def _types_at(kind: Any, path: Sequence[str | int]) -> list[Any]:
    if get_origin(kind) is Annotated:
        return _types_at(get_args(kind)[0], path)
    if get_origin(kind) in (Union, types.UnionType):
        return [found for one in get_args(kind) for found in _types_at(one, path)]
    if not path:
        return [kind]
    step, rest = path[0], path[1:]
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return _types_at(hints[step], rest) if step in hints else []
    inner = [one for one in get_args(kind) if one is not Ellipsis]
    return _types_at(inner[-1], rest) if inner and get_origin(kind) is not Literal else []
