"""Names of pictures that lie below the data root, and those that do not."""

from __future__ import annotations

import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.coco.names import checked_name, name_fault
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import coco_dict, image


def test_an_empty_name_names_no_file():
    assert name_fault("") == "names no file"


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "train/a.jpg",
        "./train/a.jpg",
        "a b (1).jpg",
        "..a.jpg",
        "a..jpg",
        "a\u00a0b.jpg",
        "größe/日本.png",
        "ab:c.jpg",
        "http://host/a.jpg",
    ],
)
def test_usual_names_are_taken(name):
    assert name_fault(name) is None
    assert checked_name(name, None) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("C:/pictures/a.jpg", "is an absolute path"),
        ("../a.jpg", "leads out of the data root"),
        ("train/../../a.jpg", "leads out of the data root"),
        ("train/..", "leads out of the data root"),
        ("./", "names no file"),
        ("train\\a.jpg", "has a backslash"),
        ("..\\a.jpg", "has a backslash"),
        ("a\0.jpg", "holds a character that cannot be seen"),
        ("a\n.jpg", "holds a character that cannot be seen"),
        ("a\x1b[2J.jpg", "holds a character that cannot be seen"),
        ("a\u202egpj.exe", "holds a character that cannot be seen"),
        ("a\ud800.jpg", "holds a character that cannot be seen"),
    ],
)
def test_names_that_are_refused_where_coco_files_are_read(name, fault):
    assert name_fault(name) == fault
    with pytest.raises(UserError) as caught:
        coco_from_dict(coco_dict([image(1), image(2, name=name)]))
    assert caught.value.what == f"`file_name` {name!r} {fault}"
    assert "images[1]" in caught.value.where


def test_a_backslash_is_answered_with_the_command_that_turns_it():
    with pytest.raises(UserError) as caught:
        checked_name("images\\a b.jpg", "t.json")
    assert "convert FILE --from coco --data DATA" in caught.value.next_step
