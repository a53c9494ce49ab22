"""Text from files is made fit for a terminal."""

from __future__ import annotations

import json

import pytest

from data_tools.ground.options.output import json_text
from data_tools.ground.options.terminal import LINE_LENGTH, LINES, message_text, printable


def test_usual_text_stays():
    assert printable("") == ""
    assert printable("a\tb\nÄ 好 é\U0001f600") == "a\tb\nÄ 好 é\U0001f600"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb", "a\\rb"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("\u2066\u2028\u061c", "\\u2066\\u2028\\u061c"),
        ("\udcff", "\\udcff"),
    ],
)
def test_characters_that_act_are_escaped(text, shown):
    assert printable(text) == shown
    assert json.loads(json_text({text: [text]})) == {text: [text]}
    assert printable(json_text({text: [text]})) == json_text({text: [text]})


def test_a_message_is_cut_to_be_read():
    assert message_text("x" * LINE_LENGTH) == "x" * LINE_LENGTH
    assert message_text("x" * (LINE_LENGTH + 1234)).endswith("x... (1,234 more characters)")
    assert message_text("x\n" * LINES).count("x") == LINES
    assert message_text("x\n" * (LINES + 5)).endswith("\n... (6 more lines)")
