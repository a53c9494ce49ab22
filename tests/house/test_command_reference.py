"""docs/commands.md says what the command lines say."""

from __future__ import annotations

from tests.builders.command_reference import PAGE, groups, reference


def test_every_command_has_its_section():
    commands = [(package, name) for package, group in groups().items() for name in group.commands]
    assert len(commands) >= 26
    text = reference()
    assert [each for each in commands if f"\n### {' '.join(each)}\n" not in text] == []


def test_the_page_is_what_help_prints():
    assert PAGE.read_text(encoding="utf-8") == reference(), "write it again: make reference"
