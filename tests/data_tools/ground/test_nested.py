"""Nested mappings: what lies on top wins, and leaves have dotted names."""

from __future__ import annotations

from data_tools.ground.nested import flattened, merged


def test_nothing_on_nothing():
    assert merged({}, {}) == {}
    assert flattened({}) == {}


def test_mappings_that_meet_are_merged_and_lists_are_replaced():
    below = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    above = {"a": {"y": [3]}, "c": {"z": 1}}
    assert merged(below, above) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": {"z": 1}}


def test_a_mapping_and_a_value_replace_each_other():
    assert merged({"a": {"x": 1}}, {"a": None}) == {"a": None}
    assert merged({"a": None}, {"a": {"x": 1}}) == {"a": {"x": 1}}


def test_neither_is_changed_or_shared():
    below, above = {"a": {"x": [1]}}, {"a": {"y": [2]}}
    result = merged(below, above)
    result["a"]["x"].append(9)
    result["a"]["y"].append(9)
    assert (below, above) == ({"a": {"x": [1]}}, {"a": {"y": [2]}})


def test_a_rule_says_what_is_replaced_whole_at_any_depth():
    def of_other_type(upper, lower):
        return upper.get("type") != lower.get("type")

    below = {"net": {"type": "A", "part": {"type": "B", "x": 1}}}
    above = {"net": {"type": "A", "part": {"type": "C"}}}
    assert merged(below, above, replaces=of_other_type) == above
    same = {"net": {"type": "A", "part": {"type": "B"}}}
    assert merged(below, same, replaces=of_other_type) == below


def test_leaves_by_dotted_key():
    block = {"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "f": {}, "g": None}
    assert flattened(block) == {"a.b.c": 1, "a.d": [{"e": 2}], "f": {}, "g": None}
