"""Texts that are no YAML or JSON, or more of it than anybody would write."""

from __future__ import annotations

import gzip

import pytest

from data_tools.ground.declared.parsing import (
    Limits,
    Refusal,
    load_declared,
    parse_json,
    parse_yaml,
)
from data_tools.ground.errors import UserError

DEEP = "[" * 10_000 + "]" * 10_000
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_empty_files():
    assert parse_yaml("") is None
    with pytest.raises(Refusal, match="Expecting value"):
        parse_json("")


def test_values_as_json_has_them():
    text = "1: a\ntrue: b\nday: 2024-02-30\nlist: [1, 2.5, null]\nmore: {<<: {a: 1}, b: 2}"
    assert parse_yaml(text) == {
        "1": "a",
        "true": "b",
        "day": "2024-02-30",  # no such day, but a text as good as any
        "list": [1, 2.5, None],
        "more": {"a": 1, "b": 2},
    }


def test_powers_of_ten_are_numbers_with_and_without_a_point():
    assert parse_yaml("[1e-4, -2E3, 1.e2, 1.5e+1]") == [1e-4, -2000.0, 100.0, 15.0]
    assert parse_yaml("['1e-4', 1e, e4, 1e-4x]") == ["1e-4", "1e", "e4", "1e-4x"]
    with pytest.raises(Refusal, match="a number has 43 characters"):
        parse_yaml("1" * 40 + "e-4")


def test_a_few_aliases_are_fine():
    assert parse_yaml("a: &a [1]\nb: *a") == {"a": [1], "b": [1]}


@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DEEP, "more than 64 levels deep"),
        ("[" * 65 + "]" * 65, "more than 64 levels deep"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
        ("1" * 41, "a number has 41 characters, starting 111111111111"),
        ("1" * 5000, "a number has 5000 characters"),
        ("[0." + "1" * 40 + "]", "a number has 42 characters"),
        ('"\\ud800"', "holds half of a character"),
        ('{"a": ', "(Expecting value|expected the node content)"),
    ],
)
def test_refusals(parse, text, reason):
    with pytest.raises(Refusal, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "unfolds to more than 100,000 values, line"),
        ("a: &a [*a]", "an alias holds itself, line 1"),
        ("a: *b", "undefined alias"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: \x00", "special characters are not allowed"),
        ("? [1]\n: 2\n? {a: 1}\n: 3", "unhashable key"),
        ("a: !!binary aGVsbG8=", "neither text, number, list nor mapping"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("a: 1\na: 2", "the key 'a' stands twice, line 1"),
    ],
)
def test_refusals_of_yaml(text, reason):
    with pytest.raises(Refusal, match=reason):
        parse_yaml(text)


def test_sizes_end():
    with pytest.raises(Refusal, match="more than 3 values"):
        parse_json("[1, 2, 3]", Limits(values=3))
    assert parse_json("[1, 2]", Limits(values=3)) == [1, 2]


def refused(path) -> str:
    with pytest.raises(UserError) as caught:
        load_declared(path)
    return str(caught.value)


def test_files(tmp_path):
    path = tmp_path / "a.json"
    assert f"the file does not exist\n  where:    {path}" in refused(path)
    path.write_bytes(b'{"a": "\xff"}')
    assert refused(path).startswith(
        "the file is not valid JSON (it is not UTF-8: invalid start byte at byte 7)\n"
        f"  where:    {path}\n"
    )
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert load_declared(path) == {"a": 1}
    packed = tmp_path / "a.json.gz"
    packed.write_bytes(gzip.compress(b"[1]"))
    assert load_declared(packed) == [1]
    packed.write_bytes(gzip.compress(b"[1]")[:-4])
    assert "the file is not valid JSON (Compressed file ended" in refused(packed)


def test_a_packed_bomb_is_not_unpacked_whole(tmp_path):
    path = tmp_path / "a.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(257):
            file.write(bytes(1 << 20))
    assert refused(path).startswith("the file holds more than 262,144 KiB\n")


def test_a_large_yaml_file_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: " + "x" * (256 << 10))
    assert refused(path).startswith("the file holds more than 256 KiB\n")
