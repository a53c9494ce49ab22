"""What make passes on, taken from make itself."""

from __future__ import annotations

import subprocess

import pytest

from workflow.given.makeflags import assignments_of, options_of

MAKEFILE = "all:\n\t+@printenv MAKEFLAGS\n"


def flags_of(folder, *words):
    (folder / "Makefile").write_text(MAKEFILE)
    done = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.removesuffix("\n")


def test_nothing_gives_nothing():
    assert options_of("") == frozenset()
    assert assignments_of("") == {}


def test_options_are_letters(tmp_path):
    assert "n" in options_of("n -- A=b")
    assert "n" not in options_of(" -- n=1")
    assert "n" not in options_of(" -j2 --jobserver-auth=3,4 -- n=1")


@pytest.mark.parametrize(
    "value", ["", "a b", "a\\b", "a\\ b", "it's", 'x"y', "a=b", "24", "-- A=c", "back\\\\slash"]
)
def test_values_come_as_they_were_typed(tmp_path, value):
    assert assignments_of(flags_of(tmp_path, "-k", f"A={value}", "B=2")) == {"A": value, "B": "2"}


def test_a_dollar_comes_as_it_was_typed(tmp_path):
    assert assignments_of(flags_of(tmp_path, "A=x$(shell id)")) == {"A": "x$(shell id)"}


def test_other_kinds_of_assignment_are_assignments(tmp_path):
    assert assignments_of(flags_of(tmp_path, "A:=1", "B?=2")) == {"A": "1", "B": "2"}
