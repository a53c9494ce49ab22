"""Submission formats: each writes what it says, reads it back, and users can add their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_tools.coco.dataset import coco_from_dict
from data_tools.coco.fractions import look_like_fractions
from data_tools.ground.errors import UserError
from data_tools.predictions.formats.catalogue import find_format, load_formats
from data_tools.predictions.formats.read import read_submission, reading_format
from submit.printing import keeps_area, write_in_format
from tests.builders.scoring_cases import predictions

NAMES = list(load_formats())


def images_of(*, classes=("paper", "metal"), sizes=((200, 100), (64, 64), (50, 400))):
    return coco_from_dict(
        {
            "images": [
                {"id": 10 * place, "file_name": f"test/{place:04d}.jpg", "width": width,
                 "height": height}
                for place, (width, height) in enumerate(sizes, start=1)
            ],
            "categories": [{"id": 2 * place + 3, "name": name}
                           for place, name in enumerate(classes)],
        }
    )  # fmt: skip


def text_of(name, dataset, rows, tmp_path, **options):
    path = tmp_path / "out"
    write_in_format(path, predictions(dataset, rows), dataset, find_format(name, **options))
    return path.read_text().splitlines()


ROW = (10, 3, 0.5, [20.0, 10.0, 60.0, 30.0])
EXPECTED = {
    "aistages": [
        "PredictionString,image_id", "3 0.5 20.0 10.0 60.0 30.0 ,test/0001.jpg", ",test/0002.jpg",
        ",test/0003.jpg",
    ],
    "kaggle": ["ImageId,PredictionString", "0001,3 0.5 20.0 10.0 60.0 30.0", "0002,", "0003,"],
    "rsna": ["patientId,PredictionString", "0001,0.5 20.0 10.0 40.0 20.0", "0002,", "0003,"],
    "kaggle_xywh": ["image_id,PredictionString", "0001,0.5 20.0 10.0 40.0 20.0", "0002,", "0003,"],
    "kaggle_normalised": [
        "ImageId,PredictionString", "0001,paper 0.5 0.1 0.1 0.3 0.3", "0002,", "0003,",
    ],
    "kaggle_no_finding": [
        "image_id,PredictionString", "0001,3 0.5 20.0 10.0 60.0 30.0", "0002,14 1 0 0 1 1",
        "0003,14 1 0 0 1 1",
    ],
    "rows": ["image_id,label,score,xmin,ymin,xmax,ymax",
             "test/0001.jpg,3,0.5,20.0,10.0,60.0,30.0"],
    "coco": ['[{"image_id": 10, "category_id": 3, "bbox": [20.0, 10.0, 40.0, 20.0], '
             '"score": 0.5}]'],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_text_of_every_format(name, tmp_path):
    dataset = images_of(
        classes=("paper",) if name in ("kaggle_xywh", "rsna") else ("paper", "metal")
    )
    assert text_of(name, dataset, [ROW], tmp_path) == EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_no_boxes_read_back_as_no_boxes(name, tmp_path):
    dataset = images_of(classes=("paper",))
    text_of(name, dataset, [], tmp_path)
    again = read_submission(tmp_path / "out", dataset, find_format(name))[0]
    assert len(again) == 0
    assert again.image_ids.tolist() == [10, 20, 30]


BOX = st.tuples(
    st.integers(0, 2), st.integers(0, 1), st.floats(0, 1, width=32),
    st.floats(0, 45, width=32), st.floats(0, 45, width=32),
    st.floats(0.5, 60, width=32), st.floats(0.5, 60, width=32),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(BOX, max_size=10), name=st.sampled_from(NAMES),
       digits=st.sampled_from([None, 2, 4]))  # fmt: skip
def test_reading_back_gives_what_was_printed(tmp_path_factory, rows, name, digits):
    dataset = images_of(
        classes=("paper",) if name in ("kaggle_xywh", "rsna") else ("paper", "metal")
    )
    table = predictions(
        dataset,
        [(10 * (image + 1), int(dataset.category_ids[label % len(dataset.categories)]), score,
          [x, y, x + width, y + height]) for image, label, score, x, y, width, height in rows],
    )  # fmt: skip
    chosen = replace(find_format(name), score_digits=digits, coordinate_digits=digits)
    if name == "coco":
        digits = None
    table = table.filtered(keeps_area(table, dataset, chosen))
    # Boxes that could all be fractions are refused when read as pixels.
    assume(not look_like_fractions(table.boxes_xyxy, dataset.sizes_wh))
    path = tmp_path_factory.mktemp("format") / "out"
    write_in_format(path, table, dataset, chosen)
    again = read_submission(path, dataset, chosen)[0]
    for column in ("image_ids", "offsets", "labels"):
        np.testing.assert_array_equal(getattr(again, column), getattr(table, column))
    if digits is None:
        np.testing.assert_array_equal(again.scores.astype(table.scores.dtype), table.scores)
        read = again.boxes_xyxy.astype(table.boxes_xyxy.dtype)
        np.testing.assert_allclose(read, table.boxes_xyxy, rtol=1e-6)
        return
    half = 0.5 * 10.0**-digits
    np.testing.assert_allclose(again.scores, table.scores, atol=half + 1e-7)
    # A fraction is off by half a step of the whole side, a corner from x + width by two halves.
    sides = 400 if name == "kaggle_normalised" else 2
    np.testing.assert_allclose(again.boxes_xyxy, table.boxes_xyxy, atol=half * sides + 1e-4)


def test_exact_formats_of_corners_give_the_very_same_float32(tmp_path):
    dataset = images_of()
    generator = np.random.default_rng(0)
    corners = np.sort(generator.uniform(0, 50, (500, 2, 2)), axis=1).reshape(-1, 4)
    rows = [
        (10, 3, float(s), box.tolist())
        for s, box in zip(generator.random(500), corners, strict=True)
    ]
    for name in ("aistages", "kaggle", "kaggle_normalised", "kaggle_no_finding", "rows"):
        text_of(name, dataset, rows, tmp_path)
        again = read_submission(tmp_path / "out", dataset, find_format(name))[0]
        printed = predictions(dataset, rows).boxes_xyxy
        assert (again.boxes_xyxy.dtype, printed.dtype) == (np.float64, np.float32)
        np.testing.assert_array_equal(again.boxes_xyxy.astype(np.float32), printed)


OWN = """
drone:
  description: centres, class names, one row per box
  columns: [picture, name, confidence, cx, cy, w, h]
  image_column: picture
  image_key: id
  label_key: name
  fields: [label, score, xcenter, ycenter, width, height]
  row_per: box
  normalised: true
  empty: none 1 0 0 1 1
"""


def test_a_format_of_the_users_own(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    assert len(OWN.strip().splitlines()) == 10
    dataset = images_of()
    lines = text_of("drone", dataset, [ROW], tmp_path, format_file=tmp_path / "own.yaml")
    assert lines == ["picture,name,confidence,cx,cy,w,h", "10,paper,0.5,0.2,0.2,0.2,0.2",
                     "20,none,1,0,0,1,1", "30,none,1,0,0,1,1"]  # fmt: skip
    drone = find_format("drone", tmp_path / "own.yaml")
    again, _ = read_submission(tmp_path / "out", dataset, drone)
    assert again.image_id_of_row.tolist() == [10]
    np.testing.assert_allclose(again.boxes_xyxy, [ROW[3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("  colour: red", "unknown key `drone.colour`"),
        ("  columns_: []", "unknown key `drone.columns_` (did you mean `columns`?)"),
        ("  name: other", "unknown key `drone.name`"),
        (
            "  image_key: path",
            "`drone.image_key` is \"path\", expected 'file_name', 'stem' or 'id'",
        ),
        ("  fields: [label, score, xmin, ymin]", "`fields` is label, score, xmin, ymin"),
        ("  fields: [label, score, xmin, ymin, xmax, depth]", "`fields` has 'depth'"),
        ("  columns: [a, b]", "`columns` is a, b"),
        ("  columns: a", '`drone.columns` is "a", expected a list'),
        ("  normalised: 3", "`drone.normalised` is 3, expected true or false"),
        ("  score_digits: many", '`drone.score_digits` is "many", expected a whole number'),
        ("  score_digits: -1", "`drone.score_digits` is -1, expected 0 or more"),
        ("  coordinate_digits: 50", "`drone.coordinate_digits` is 50, expected 9 or less"),
        (
            "  columns: [1, name, confidence, cx, cy, w, h]",
            "`drone.columns[0]` is 1, expected text",
        ),
        ("  columns: [picture, name, confidence, cx, cx, w, h]", "`columns` is picture, name"),
        ("  fields: [[label], score]", '`drone.fields[0]` is ["label"], expected text'),
        ("  empty: none", "`empty` is 'none'"),
    ],
)
def test_mistakes_in_a_format_file_are_named(tmp_path, change, message):
    key = change.split(":")[0]
    kept = [line for line in OWN.strip().splitlines() if not line.startswith(key + ":")]
    (tmp_path / "own.yaml").write_text("\n".join([*kept, change]))
    with pytest.raises(UserError) as caught:
        load_formats(tmp_path / "own.yaml")
    assert message in caught.value.what
    assert caught.value.where.startswith(str(tmp_path / "own.yaml"))
    assert "drone" in caught.value.what + caught.value.where


def test_keys_that_do_not_go_together_are_all_named(tmp_path):
    text = OWN.replace("xcenter", "xmin").replace("confidence, ", "").replace("none 1", "none")
    text += OWN.replace("drone:", "plane:").replace("xcenter", "depth")
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_formats(tmp_path / "own.yaml")
    assert caught.value.what == (
        "4 faults:\n"
        "  - format 'drone': `fields` is label, score, xmin, ycenter, width, height, expected "
        "`score` and a box, each once: xmin ymin xmax ymax, xmin ymin width height, or xcenter "
        "ycenter width height\n"
        "  - format 'drone': `columns` is picture, name, cx, cy, w, h, expected the columns "
        "picture and one for each field, each once\n"
        "  - format 'drone': `empty` is 'none 0 0 1 1', expected a word for each of the 6 fields, "
        "between spaces\n"
        "  - format 'plane': `fields` has 'depth', expected some of label, score, xmin, ymin, "
        "xmax, ymax, width, height, xcenter, ycenter"
    )


@pytest.mark.parametrize(
    "text", ["", "- a list", "drone: 3", "a: [", "\x00", "drone: {}\ndrone: {}"]
)
def test_format_files_that_are_none(tmp_path, text):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UserError):
        load_formats(tmp_path / "own.yaml")


def test_a_format_file_without_a_name_is_not_passed_over(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    with pytest.raises(UserError, match="a --format-file, but no --format") as caught:
        reading_format(None, tmp_path / "own.yaml", ["a.csv"])
    assert caught.value.expected.endswith("coco, drone")
    assert find_format(None).name == "aistages"


def test_unknown_format_lists_those_that_exist():
    with pytest.raises(UserError) as caught:
        find_format("kagle")
    assert "aistages, kaggle," in caught.value.expected


def test_names_that_a_format_cannot_express_are_refused(tmp_path):
    with pytest.raises(UserError, match="'plastic bag' has white space"):
        text_of("kaggle_normalised", images_of(classes=("plastic bag", "x")), [], tmp_path)
    with pytest.raises(UserError, match="has no label, but the dataset has 2 classes"):
        text_of("kaggle_xywh", images_of(), [], tmp_path)
    same_stem = coco_from_dict(
        {"images": [{"id": n, "file_name": f"{n}/a.jpg", "width": 9, "height": 9} for n in (1, 2)],
         "categories": [{"id": 1, "name": "x"}]}
    )  # fmt: skip
    with pytest.raises(UserError, match="1 images share their name"):
        text_of("kaggle", same_stem, [], tmp_path)
    with pytest.raises(UserError, match="two classes have the same name"):
        text_of("kaggle_normalised", images_of(classes=("x", "x")), [], tmp_path)
    assert not (tmp_path / "out").exists()
