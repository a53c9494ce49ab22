"""VOC files without size, name or ending, of Windows tools, and counted from 0."""

from __future__ import annotations

import pytest

from data_tools.coco.dataset import coco_from_dict
from data_tools.convert.voc import coco_from_voc
from data_tools.ground.errors import UserError
from tests.builders.coco_cases import coco_dict, image, write_images

SIZE = "<size><width>100</width><height>80</height></size>"
OBJECT = (
    "<object><name>cup</name><bndbox><xmin>{}</xmin><ymin>21</ymin><xmax>60</xmax><ymax>80</ymax>"
    "</bndbox></object>"
)
# xmin 11 and ymin 21, counted from 1: 10 and 20; to 60 and 80.
BOX = [10, 20, 50, 60]


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.xml").write_text(f"<annotation>{text}</annotation>")


@pytest.fixture
def root(tmp_path):
    write_images(tmp_path, coco_from_dict(coco_dict([image(0, name="a.jpg")])))
    return tmp_path


@pytest.mark.parametrize(
    ("head", "note"),
    [
        (f"<filename>a.jpg</filename>{SIZE}", None),
        ("<filename>a.jpg</filename>", "sizes read from the pictures"),
        (
            "<filename>a.jpg</filename>" + SIZE.replace("100", "0").replace("80", "0"),
            "sizes read from the pictures",
        ),
        (f"<filename>a</filename>{SIZE}", "names given the ending of their picture"),
        (SIZE, "images named like their XML file"),
        (
            rf"<filename>C:\Users\me\a.jpg</filename>{SIZE}",
            "names cut to the part that is below --data",
        ),
    ],
)
def test_what_is_missing_comes_from_the_picture(root, head, note):
    write(root, head + OBJECT.format(11))
    found = coco_from_voc(root, root)
    assert found.dataset.file_names == ("a.jpg",)
    assert found.dataset.sizes_wh.tolist() == [[100, 80]]
    assert found.dataset.boxes_xywh.tolist() == [BOX]
    assert note is None or found.notes[note] == 1


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("<filename>a.jpg</filename>", "the image does not exist"),
        (f"<filename>a</filename>{SIZE}", "there is no picture a.jpg"),
        (SIZE, "there is no picture a.jpg"),
        (rf"<filename>C:\me\a.jpg</filename>{SIZE}", "no part of it is a picture"),
        (f"<filename>../a.jpg</filename>{SIZE}", "leads out of the data root"),
    ],
)
def test_without_the_picture_it_is_refused(tmp_path, head, message):
    write(tmp_path, head + OBJECT.format(11))
    with pytest.raises(UserError, match=message):
        coco_from_voc(tmp_path, tmp_path)


def test_the_standard_tree_has_its_pictures_beside(tmp_path):
    write(tmp_path / "Annotations", f"<filename>a.jpg</filename>{SIZE}{OBJECT.format(11)}")
    name = "JPEGImages/a.jpg"
    write_images(tmp_path, coco_from_dict(coco_dict([image(0, name=name)])))
    assert coco_from_voc(tmp_path, tmp_path).dataset.file_names == (name,)


def test_a_box_that_begins_at_0_counts_from_0(root):
    write(root, f"<filename>a.jpg</filename>{SIZE}{OBJECT.format(0)}")
    with pytest.raises(UserError, match="VOC counts pixels from 1, this file from 0") as caught:
        coco_from_voc(root, root)
    assert caught.value.next_step == "add --zero-based"
    found = coco_from_voc(root, root, zero_based=True)
    assert found.dataset.boxes_xywh.tolist() == [[0, 21, 60, 59]]


BOMB = (
    "<!DOCTYPE a ["
    + '<!ENTITY e0 "x">'
    + "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    + "]><annotation><filename>&e9;</filename></annotation>"
)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (BOMB.encode(), "declares a document type"),
        (b'<!DOCTYPE a SYSTEM "/etc/passwd"><annotation/>', "declares a document type"),
        (
            b'<!DOCTYPE a [<!ENTITY f SYSTEM "a.jpg">]><annotation>&f;</annotation>',
            "declares a document type",
        ),
        (BOMB.encode("utf-16"), "declares a document type"),
        (b"", "not valid XML"),
        (b"<annotation>", "not valid XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><annotation/>', "not valid XML"),
        (b'<?xml version="1.0" encoding="none"?><annotation/>', "not valid XML"),
        (b"<annotation><filename>\xff</filename></annotation>", "not valid XML"),
        (b"<annotation><filename>&nothing;</filename></annotation>", "not valid XML"),
        (b"\x00" * 64, "not valid XML"),
    ],
    ids=range(11),
)
def test_xml_that_is_damaged_or_meant_to_do_harm(root, content, fault):
    path = root / "xml" / "a.xml"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=fault) as caught:
        coco_from_voc(path.parent, root)
    assert caught.value.where == str(path)
