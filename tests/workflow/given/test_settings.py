"""Variables: defaults, where they come from, and what they refuse."""

from __future__ import annotations

import pytest

from data_tools.ground.errors import UserError
from workflow.given.settings import read_settings
from workflow.given.variables import VARIABLES


def test_without_anything_given_all_are_the_defaults():
    settings = read_settings({}, {})
    assert settings.given == frozenset()
    assert settings["MODEL"] == "tood_dcn"
    assert dict(settings.values) == {variable.name: variable.default for variable in VARIABLES}


def test_the_command_line_wins_over_the_environment():
    settings = read_settings({"FOLD": "1"}, {"FOLD": "2", "WORK": "elsewhere"})
    assert (settings["FOLD"], settings["WORK"]) == ("1", "elsewhere")
    assert settings.given == {"FOLD", "WORK"}


def test_names_that_a_system_sets_are_not_read_from_the_environment():
    assert read_settings({}, {"NAME": "DESKTOP-1", "V": "9"})["NAME"] == ""
    assert read_settings({"NAME": "long"}, {})["NAME"] == "long"


def test_an_empty_value_is_the_default():
    settings = read_settings({"FOLD": ""}, {"MODEL": " "})
    assert (settings["FOLD"], settings["MODEL"]) == ("3", "tood_dcn")
    assert settings.given == frozenset()


def test_an_unknown_variable_is_named_with_the_closest():
    with pytest.raises(UserError, match=r"no variable 'epoch'.*mean EPOCHS") as caught:
        read_settings({"epoch": "3"}, {})
    assert "SPLIT_SEED" in caught.value.expected


def test_all_wrong_values_are_in_one_message():
    wrong = {
        "FOLD": "x", "MOSAIC": "2", "SCALE": "big", "MEMBERS": "a $(id)", "TRAIN_FLAGS": "'",
        "LR": "nan", "EPOCHS": "0", "GPUS": "1e3", "SEED": "9" * 40,
    }  # fmt: skip
    with pytest.raises(UserError) as caught:
        read_settings(wrong, {})
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines[: len(wrong)]] == [
        variable.name for variable in VARIABLES if variable.name in wrong
    ]


def test_options_are_split_as_in_a_shell_and_nothing_is_expanded():
    settings = read_settings({"TRAIN_FLAGS": "--set 'a=b c' $(id) `id` *"}, {})
    assert settings.words("TRAIN_FLAGS") == ["--set", "a=b c", "$(id)", "`id`", "*"]
