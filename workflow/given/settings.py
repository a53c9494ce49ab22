"""The values of make's variables for one call: read, checked, all faults in one message."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from data_tools.ground.errors import UserError
from workflow.given.variables import VARIABLES

_NAMES = tuple(variable.name for variable in VARIABLES)


@dataclass(frozen=True)
class Settings:
    """Values by name; what was not given has its default.

    Attributes:
        values: a text for each variable.
        given: names of those that came from the command line or the environment, not empty.
    """

    values: Mapping[str, str]
    given: frozenset[str]

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def words(self, name: str) -> list[str]:
        """Return a variable with options as words, split as in a shell; nothing is expanded."""
        return shlex.split(self.values[name])

    def option(self, option: str, name: str) -> list[str]:
        """Return an option with the variable's value; nothing where the variable is empty."""
        return [option, self.values[name]] if self.values[name] else []


def read_settings(assignments: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Return the settings of one call.

    Args:
        assignments: the variables of the command line; each has to be one that exists.
        environment: where variables that the command line does not give may come from.

    Raises:
        UserError: unknown variables or values that cannot be, all in one message.
    """
    faults = [_unknown(name) for name in assignments if name not in _NAMES]
    if faults:
        raise UserError(
            "\n  ".join(faults), where="the command line of make", expected=", ".join(_NAMES)
        )
    values, given = {}, set()
    for variable in VARIABLES:
        name = variable.name
        source = environment if variable.from_environment else {}
        value = assignments.get(name, source.get(name, "")).strip()
        values[name] = value or variable.default
        if value:
            given.add(name)
        expected = variable.fault(values[name])
        if expected:
            faults.append(f"{name} is {values[name]!a}, expected {expected}")
    if faults:
        raise UserError("\n  ".join(faults), next_step="make help lists the variables")
    return Settings(values, frozenset(given))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name.upper(), _NAMES, n=1)
    return f"there is no variable {name!a}" + (f" (did you mean {close[0]}?)" if close else "")
