"""A declared value checked against a type: all its faults in one message.

A type is a frozen dataclass with `__pydantic_config__ = EXACT` (or `OPEN`), whose fields may have
`Annotated` bounds of the package annotated_types, `Literal` choices and a default. pydantic does
the checking; importing it takes a tenth of a second, so only a check does.
"""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, is_typeddict

from data_tools.ground.declared.parsing import load_declared
from data_tools.ground.declared.wording import Fault, faults_of, keys_at, message_of
from data_tools.ground.errors import UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

# No unknown key, no text where a number belongs, no infinity.
EXACT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
# The same for files whose newer versions may say more than this kit knows.
OPEN = {**EXACT, "extra": "ignore"}


def read_declared(path: str | Path, kind: type[T], *, what: str, next_step: str | None = None) -> T:
    """Read a YAML or JSON file and check it.

    Args:
        path: the file.
        kind: what it must hold.
        what: what to call the file, "the experiment file".
        next_step: how to get a right one.

    Raises:
        UserError: the file is missing, cannot be read or is wrong; the message has all its faults.
    """
    if not Path(path).is_file():
        raise UserError(f"{what} does not exist", where=path, next_step=next_step)
    return checked(load_declared(path), kind, where=path, next_step=next_step)


def checked(
    value: Any,
    kind: type[T],
    *,
    where: str | Path | None = None,
    key: str = "",
    next_step: str | None = None,
) -> T:
    """Return a parsed value as a `kind`; lists become tuples where the type says so.

    Args:
        value: what JSON or YAML gave.
        kind: a dataclass, or any type that pydantic takes.
        where: file or option that it came from.
        key: key under which it stands there, before the keys of the message.
        next_step: how to get a right value.

    Raises:
        UserError: all faults in one message: key, what was found, what was expected and, for an
            unknown key, the closest valid one.
    """
    result, faults = _validated(value, kind, key)
    if faults:
        raise UserError(
            message_of(faults),
            where=where,
            expected=keys_at(faults, kind, key),
            next_step=next_step,
        )
    return cast(T, result)


def faults_in(value: Any, kind: Any, *, key: str = "") -> list[Fault]:
    """Return what is wrong with a parsed value that should be a `kind`; empty if nothing is.

    For values of several places whose faults are told together, by `message_of`.
    """
    return _validated(value, kind, key)[1]


def _validated(value: Any, kind: Any, key: str) -> tuple[Any, list[Fault]]:
    from pydantic import ValidationError

    text = json.dumps(value)
    try:
        return type_adapter(kind).validate_json(text), []
    except ValidationError as error:
        return None, faults_of(json.loads(text), error.errors(include_url=False), kind, key)


@cache
def type_adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what checks values of a type; made once, for that takes a while."""
    from pydantic import ConfigDict, TypeAdapter

    # A class says itself how exact it is; a bare type cannot.
    if is_dataclass(kind) or is_typeddict(kind):
        return TypeAdapter(kind)
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
