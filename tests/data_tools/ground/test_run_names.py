"""Names of runs: what they state, built and read again, and what may not be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.ground.errors import UserError
from data_tools.ground.run_names import (
    RunName,
    build,
    checked_name,
    is_timing,
    parse,
    split_seed,
    timing_name,
    with_seed,
)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (RunName("tood_dcn"), "tood_dcn"),
        (RunName("tood_dcn", pseudo=1), "tood_dcn-pseudo1"),
        (RunName("tood_dcn", mosaic=0.5), "tood_dcn-mosaic0.5"),
        (RunName("tood_dcn", pseudo=2, mosaic=1.0), "tood_dcn-pseudo2-mosaic1"),
        (RunName("yolox", epochs=24, lr=0.005), "yolox-epochs24-lr0.005"),
        (RunName("yolox", lr=1e-05), "yolox-lr0.00001"),
        (RunName("yolox", epochs=100, batch=10, seed=0), "yolox-epochs100-batch10-seed0"),
        (RunName("yolox", mosaic=0.5, rest=("wide", "neck")), "yolox-mosaic0.5-wide-neck"),
    ],
)
def test_a_name_states_what_differs_and_is_read_again(parts, text):
    assert build(parts) == text
    assert parse(text) == parts


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("yolox-mosaic", ("mosaic",)),  # no number
        ("yolox-mosaic0", ("mosaic0",)),  # the recipe's own value is not written
        ("yolox-mosaic0.50", ("mosaic0.50",)),
        ("yolox-pseudo01", ("pseudo01",)),
        ("yolox-pseudo1.5", ("pseudo1.5",)),
        ("yolox-wide3", ("wide3",)),
        ("yolox--", ("", "")),
    ],
)
def test_parts_that_are_never_built_stay_as_they_are(text, rest):
    assert parse(text) == RunName("yolox", rest=rest)
    assert build(parse(text)) == text


def test_of_a_part_named_twice_the_first_counts():
    assert parse("yolox-seed1-seed2") == RunName("yolox", seed=1, rest=("seed2",))


@given(
    pseudo=st.integers(0, 99),
    mosaic=st.floats(0, 1),
    epochs=st.none() | st.integers(1, 1000),
    lr=st.none() | st.floats(1e-9, 10),
    seed=st.none() | st.integers(0, 2**32 - 1),
)
def test_every_built_name_is_read_again(pseudo, mosaic, epochs, lr, seed):
    parts = RunName("tood_dcn", pseudo=pseudo, mosaic=mosaic, epochs=epochs, lr=lr, seed=seed)
    try:
        text = build(parts)
    except UserError as error:
        assert "characters" in error.what  # mosaic 1e-300 is written with all its zeros
    else:
        assert parse(text) == parts


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "-rf", "a/b", "a b", "x$(touch a)", "it's", 'a"b', "a\n", "ö", "a\\b", "a;b"],
)
def test_other_characters_are_refused_by_name(text):
    for refuse in (checked_name, parse, lambda text: build(RunName(text))):
        with pytest.raises(UserError) as caught:
            refuse(text)
        assert f"the name {text!a} cannot name a run" in str(caught.value)
        assert "letters a to z, digits" in str(caught.value)


def test_a_refusal_names_the_option_and_the_place():
    with pytest.raises(UserError) as caught:
        checked_name("a b", what="--name", where="work/runs")
    assert str(caught.value).startswith("--name 'a b' cannot name a run\n  where:    work/runs\n")


def test_a_name_ends_where_file_systems_do():
    assert checked_name("a" * 200) == "a" * 200
    with pytest.raises(UserError, match="has 201 characters"):
        checked_name("a" * 201)


def test_seeds_and_timing():
    assert with_seed("mosaic-base", 42) == "mosaic-base-seed42"
    assert split_seed("mosaic-base-seed42") == ("mosaic-base", 42)
    assert split_seed("mosaic-seed4-base") == ("mosaic-seed4-base", None)
    assert timing_name("mosaic-base-seed42") == "mosaic-base-seed42-timing"
    assert is_timing("a-timing")
    assert not is_timing("timing-a")
