"""What a prediction file remembers of its origin."""

from __future__ import annotations

import json

from data_tools.ground.declared.checking import checked
from data_tools.predictions.provenance import Provenance


def test_the_default_has_seen_nothing():
    assert Provenance().seen_file_names() == frozenset()
    assert Provenance().leak_reasons() == ()


def test_a_fusion_has_seen_what_members_and_their_teachers_saw():
    student = Provenance(train_file_names=("a",), teacher_file_names=("b",))
    fused = Provenance(
        members=(student, Provenance(members=(Provenance(train_file_names=("c",)),)))
    )
    assert fused.seen_file_names() == {"a", "b", "c"}


def test_reasons_of_members_come_once_and_in_order():
    fused = Provenance(
        leaked=("x",), members=(Provenance(leaked=("y",)), Provenance(leaked=("x",)))
    )
    assert fused.leak_reasons() == ("x", "y")


def test_it_survives_json():
    origin = Provenance(
        dataset="f", model="m", run="r", fold=3, annotation_sha256={"train_3.json": "ab"},
        train_file_names=("a",), teacher_file_names=("b",), views=("plain", "flip"),
        members=(Provenance(run="q"),), leaked=("z",),
    )  # fmt: skip
    assert checked(json.loads(json.dumps(origin.as_dict())), Provenance) == origin


def test_keys_of_newer_kits_are_passed_over():
    assert checked({"run": "r", "colour": "red"}, Provenance) == Provenance(run="r")
