"""Declared values: what is right comes back typed, what is wrong is told all at once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le

from data_tools.ground.declared.checking import EXACT, OPEN, checked, read_declared
from data_tools.ground.errors import UserError


@dataclass(frozen=True)
class Wheel:
    __pydantic_config__ = EXACT
    size: int
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Car:
    __pydantic_config__ = EXACT
    wheel: Wheel
    doors: Annotated[int, Ge(0), Le(9)] = 4
    paint: Literal["red", "blue"] = "red"
    plate: int | str = 0
    spares: dict[str, Wheel] = field(default_factory=dict)
    iou_of_class: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    __pydantic_config__ = OPEN
    fold: int = 0


def fault(value, kind=Car, **places) -> str:
    with pytest.raises(UserError) as caught:
        checked(value, kind, **places)
    return str(caught.value)


def test_a_right_value_comes_back_typed():
    value = {"wheel": {"size": 3, "weights": [1, 0.5]}, "iou_of_class": {"3": 0.5}}
    assert checked(value, Car) == Car(Wheel(3, (1.0, 0.5)), iou_of_class={3: 0.5})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"doors": "four"}, '`doors` is "four", expected a whole number'),
        ({"doors": True}, "`doors` is true, expected a whole number"),
        ({"doors": 10}, "`doors` is 10, expected 9 or less"),
        ({"doors": -1}, "`doors` is -1, expected 0 or more"),
        ({"paint": "green"}, "`paint` is \"green\", expected 'red' or 'blue'"),
        ({"plate": 1.5}, "`plate` is 1.5, expected a whole number or text"),
        ({"wheel": 3}, "`wheel` is 3, expected a mapping"),
        ({"wheel": {}}, "`wheel.size` is missing"),
        (
            {"wheel": {"size": 3, "weights": [1, "x"]}},
            '`wheel.weights[1]` is "x", expected a number',
        ),
        (
            {"wheel": {"size": 3, "weights": [float("nan")]}},
            "`wheel.weights[0]` is NaN, expected a finite number",
        ),
        ({"spares": {"a": None}}, "`spares.a` is null, expected a mapping"),
        ({"iou_of_class": {"cat": 0.5}}, "the key `iou_of_class.cat` is not a whole number"),
    ],
)
def test_a_fault_names_key_finding_and_expectation(change, text):
    assert fault({"wheel": {"size": 3}, **change}) == text


@pytest.mark.parametrize("value", [None, [], 3, "text"])
def test_what_is_no_mapping(value):
    assert fault(value) == f"the content is {json.dumps(value)}, expected a mapping"


def test_an_unknown_key_is_answered_with_the_closest_and_all_others():
    assert fault({"wheel": {"size": 3, "wieghts": []}, "door": 3}, where="car.yaml") == (
        "2 faults:\n"
        "  - unknown key `wheel.wieghts` (did you mean `weights`?)\n"
        "  - unknown key `door` (did you mean `doors`?)\n"
        "  where:    car.yaml\n"
        "  expected: keys in `wheel`: size, weights; "
        "wheel, doors, paint, plate, spares, iou_of_class"
    )


def test_unknown_keys_inside_a_mapping_of_any_keys():
    assert "keys in `spares.a`: size, weights" in fault(
        {"wheel": {"size": 3}, "spares": {"a": {"size": 3, "colour": 1}}}
    )


def test_all_faults_are_told_at_once_and_a_flood_is_cut():
    value = {"wheel": {"size": 3, "weights": ["x"] * 50}}
    told = fault(value).splitlines()
    assert told[0] == "50 faults:"
    assert len(told) == 22
    assert told[-1] == "  - and 30 more"


def test_newer_files_may_say_more_where_the_type_allows_it():
    assert checked({"fold": 3, "colour": "red"}, Note) == Note(3)
    assert fault({"fold": "3"}, Note, key="info.boxcamp") == (
        '`info.boxcamp.fold` is "3", expected a whole number'
    )


def test_terminal_escapes_and_long_texts_are_shown_harmless():
    told = fault({"wheel": {"size": 3}, "paint": "\x1b[2J" + "a" * 500})
    assert "\x1b" not in told
    assert len(told) < 150
    assert "\x1b" not in fault({"wheel": {"size": 3}, "\x1b[2J": 3})


def test_a_missing_file_is_told_with_its_name(tmp_path):
    with pytest.raises(UserError) as caught:
        read_declared(tmp_path / "a.json", Note, what="the note", next_step="write one")
    assert str(caught.value) == (
        f"the note does not exist\n  where:    {tmp_path / 'a.json'}\n  next:     write one"
    )


def test_a_file_is_read_and_checked(tmp_path):
    (tmp_path / "a.json").write_text('{"fold": 3}')
    (tmp_path / "a.yaml").write_text("fold: 3")
    assert read_declared(tmp_path / "a.json", Note, what="the note") == Note(3)
    assert read_declared(tmp_path / "a.yaml", Note, what="the note") == Note(3)
