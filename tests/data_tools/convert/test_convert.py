"""Conversions: each format read and written, there and back, and mistakes named."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import coco_from_dict, read_coco, write_coco
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.misread import NAMES
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import predictions_from_rows
from tests.builders.coco_cases import box, coco_dict, image, random_coco, write_dict, write_images
from tests.builders.misread_boxes import BOXES_XYXY, write_misread_files

VOC = """<annotation><filename>a.jpg</filename><size><width>100</width><height>80</height></size>
<object><name>can</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>
</object></annotation>"""


SIZED = "file_name,class,xmin,ymin,xmax,ymax,width,height\n"


def run(*arguments: object):
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


def boxes_of(dataset) -> list[tuple]:
    """Boxes as (file name, class name, rounded box), sorted: what a conversion must keep."""
    names = dict(zip(dataset.category_ids.tolist(), dataset.category_names, strict=True))
    found = []
    for row, bbox in zip(dataset.annotations, dataset.boxes_xywh.tolist(), strict=True):
        file_name = dataset.images[dataset.index_of_image_id[row["image_id"]]]["file_name"]
        found.append((file_name, names[row["category_id"]], tuple(round(v, 3) for v in bbox)))
    return sorted(found)


def test_voc_counts_pixels_from_one(tmp_path):
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml/a.xml").write_text(VOC)
    result = run(tmp_path / "xml", "--from", "voc", "--out", tmp_path / "a.json")
    assert result.exit_code == 0, result.output
    # Pixels 1 to 10 are ten pixels, from 0 to 10; 2 to 20 are nineteen, from 1 to 20.
    assert boxes_of(read_coco(tmp_path / "a.json")) == [("a.jpg", "can", (0, 1, 10, 19))]
    run(tmp_path / "xml", "--from", "voc", "--zero-based", "--out", tmp_path / "b.json")
    assert boxes_of(read_coco(tmp_path / "b.json")) == [("a.jpg", "can", (1, 2, 9, 18))]


def test_voc_in_subfolders_and_without_objects(tmp_path):
    (tmp_path / "xml/b").mkdir(parents=True)
    (tmp_path / "xml/a.xml").write_text(VOC)
    (tmp_path / "xml/b/a.xml").write_text(VOC.split("<object>")[0] + "</annotation>")
    run(tmp_path / "xml", "--from", "voc", "--out", tmp_path / "a.json")
    dataset = read_coco(tmp_path / "a.json")
    assert dataset.file_names == ("a.jpg", "b/a.jpg")
    assert len(dataset.annotations) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VOC[:60], "not valid XML"),
        (VOC.replace("filename", "name"), "there is no picture a.jpg"),
        (VOC.replace("<xmin>1</xmin>", ""), "there is no <bndbox><xmin>"),
        (VOC.replace("<width>100", "<width>wide"), "<size/width> is 'wide'"),
        (VOC.replace("<width>100", "<width>nan"), "`width` is nan"),
    ],
)
def test_broken_voc_files(tmp_path, text, message):
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml/a.xml").write_text(text)
    result = run(tmp_path / "xml", "--from", "voc", "--out", tmp_path / "a.json")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "a.xml" in result.stderr
    assert not (tmp_path / "a.json").exists()


def test_yolo_there_and_back(tmp_path):
    dataset = random_coco(np.random.default_rng(0), 8)
    write_coco(tmp_path / "a.json", dataset)
    write_images(tmp_path / "images", dataset)
    there = run(tmp_path / "a.json", "--from", "coco", "--out", tmp_path / "labels")
    assert there.exit_code == 0, there.output
    back = run(
        tmp_path / "labels", "--from", "yolo", "--data", tmp_path / "images",
        "--out", tmp_path / "b.json",
    )  # fmt: skip
    assert back.exit_code == 0, back.output
    again = read_coco(tmp_path / "b.json")
    assert boxes_of(again) == boxes_of(dataset)
    assert sorted(again.file_names) == sorted(dataset.file_names)
    assert again.category_names == dataset.category_names


def test_a_yolo_line_by_hand(tmp_path):
    dataset = coco_from_dict(
        coco_dict([image(0, name="x/a.jpg")], [box(0, 0, 7, [10, 20, 30, 40])])
    )
    write_coco(tmp_path / "a.json", dataset)
    run(tmp_path / "a.json", "--from", "coco", "--out", tmp_path / "labels")
    # On 100 x 80: centre (25, 40) is (.25, .5), sides (30, 40) are (.3, .5); bag is class 1.
    assert (tmp_path / "labels/x/a.txt").read_text() == "1 0.25 0.5 0.3 0.5\n"
    assert (tmp_path / "labels/classes.txt").read_text() == "can\nbag\n"


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.1", "2 0.5 0.5 0.1 0.1", "-1 .5 .5 .1 .1", "0.7 .5 .5 .1 .1", "can"]
)
def test_broken_yolo_lines(tmp_path, line):
    write_images(tmp_path / "images", coco_from_dict(coco_dict([image(0, name="a.jpg")])))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/classes.txt").write_text("can\nbag\n")
    (tmp_path / "labels/a.txt").write_text(f"0 .5 .5 .1 .1\n{line}\n")
    result = run(
        tmp_path / "labels", "--from", "yolo", "--data", tmp_path / "images",
        "--out", tmp_path / "b.json",
    )  # fmt: skip
    assert result.exit_code == 2
    assert f"the line is {line!r}" in result.stderr
    assert "a.txt, line 2" in result.stderr
    assert "class (0 to 1), x, y, width, height" in result.stderr


def test_a_csv_table(tmp_path):
    (tmp_path / "a.csv").write_text(
        "file_name,class,xmin,ymin,xmax,ymax,width,height\n"
        "a.jpg,can,1,2,11,22,100,80\nb.jpg,,,,,,50,40\na.jpg,bag,5,5,5,9,100,80\n"
    )
    result = run(tmp_path / "a.csv", "--from", "csv", "--out", tmp_path / "a.json")
    assert result.exit_code == 0, result.output
    assert "2 images, 1 boxes; 1 boxes without area left out" in result.stdout
    dataset = read_coco(tmp_path / "a.json")
    assert boxes_of(dataset) == [("a.jpg", "can", (1, 2, 10, 20))]
    assert dataset.file_names == ("a.jpg", "b.jpg")
    assert dataset.category_names == ("bag", "can")


def test_sizes_that_a_table_lacks_come_from_the_images(tmp_path):
    write_images(tmp_path, coco_from_dict(coco_dict([image(0, name="a.jpg", width=64)])))
    (tmp_path / "a.csv").write_text("file_name,class,xmin,ymin,xmax,ymax\na.jpg,can,1,2,3,4\n")
    options = ("--from", "csv", "--out", tmp_path / "a.json", "--data", tmp_path)
    assert run(tmp_path / "a.csv", *options).exit_code == 0
    assert read_coco(tmp_path / "a.json").sizes_wh.tolist() == [[64, 80]]
    (tmp_path / "a.jpg").unlink()
    missing = run(tmp_path / "a.csv", *options)
    assert missing.exit_code == 2
    assert "the image does not exist" in missing.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,class\na,b\n", "no column 'xmin'"),
        (
            "file_name,class,xmin,ymin,xmax,ymax,width,height\na.jpg,b,1,2,x,4,9,9\n",
            "`xmax` is 'x'",
        ),
        (SIZED + "a.jpg,b,1,2,3,4,9.5,9\n", "`width` is 9.5"),
        (SIZED + "a.jpg,b,1,2,3,4,9,inf\n", "`height` is inf"),
        (SIZED + "a.jpg,,1,2,3,4,9,9\n", "the box has no class"),
        (
            SIZED + "a.jpg,b,1,2,3,4,9,9\na.jpg,b,1,2,3,4,8,9\n",
            "a.jpg is 8 x 9 here and 9 x 9 in an",
        ),
        (SIZED + "a,b,1\n", "the row has 3 cells, the header 8"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    result = run(tmp_path / "a.csv", "--from", "csv", "--out", tmp_path / "a.json")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.fixture
def predictions(tmp_path):
    dataset = random_coco(np.random.default_rng(4), 6)
    write_coco(tmp_path / "test.json", dataset)
    made = predictions_from_rows(
        dataset.image_ids,
        dataset.annotation_image_ids,
        dataset.labels,
        np.random.default_rng(0).random(len(dataset.labels)),
        dataset.boxes_xyxy,
        provenance=Provenance(dataset=dataset.fingerprint),
    )
    write_predictions(tmp_path / "a.parquet", made)
    return made


@pytest.mark.parametrize(("suffix", "tolerance_px"), [("csv", 0), ("json", 1e-4)])
def test_predictions_there_and_back(tmp_path, predictions, suffix, tolerance_px):
    options = ("--from", "predictions", "--images", tmp_path / "test.json")
    there = run(tmp_path / "a.parquet", *options, "--out", tmp_path / f"b.{suffix}")
    assert there.exit_code == 0, there.output
    back = run(tmp_path / f"b.{suffix}", *options, "--out", tmp_path / "c.parquet")
    assert back.exit_code == 0, back.output
    again = read_predictions(tmp_path / "c.parquet", read_coco(tmp_path / "test.json"))
    assert np.array_equal(again.image_ids, predictions.image_ids)
    assert np.array_equal(again.offsets, predictions.offsets)
    assert np.array_equal(again.labels, predictions.labels)
    assert np.array_equal(again.scores, predictions.scores)
    assert np.abs(again.boxes_xyxy - predictions.boxes_xyxy).max() <= tolerance_px


def test_images_without_predictions_survive_a_csv_table(tmp_path, predictions):
    options = ("--from", "predictions", "--images", tmp_path / "test.json")
    nothing = predictions.filtered(np.zeros(len(predictions), bool))
    write_predictions(tmp_path / "none.parquet", nothing)
    run(tmp_path / "none.parquet", *options, "--out", tmp_path / "b.csv")
    run(tmp_path / "b.csv", *options, "--out", tmp_path / "c.parquet")
    assert len(read_predictions(tmp_path / "c.parquet").image_ids) == 6


RISING_ROWS = (
    "image_id,file_name,label,score,xmin,ymin,xmax,ymax\n"
    "{0},a.jpg,{1},0.2,0,0,8,8\n{0},a.jpg,{1},0.9,1,1,9,9\n"
)


def scores_in(path) -> list[float]:
    return [float(line.split(",")[3]) for line in path.read_text().splitlines()[1:]]


def test_scores_are_sorted_when_asked_and_in_a_parquet_file_and_said_so(tmp_path, predictions):
    dataset = read_coco(tmp_path / "test.json")
    first = dataset.image_ids[0], dataset.category_ids[0]
    (tmp_path / "a.csv").write_text(RISING_ROWS.format(*first))
    words = (tmp_path / "a.csv", "--from", "predictions", "--images", tmp_path / "test.json")
    note = "  1 x images put in descending order of score\n"
    kept = run(*words, "--out", tmp_path / "kept.csv")
    assert note not in kept.stdout
    assert scores_in(tmp_path / "kept.csv") == [0.2, 0.9]
    assert run(*words, "--out", tmp_path / "sorted.csv", "--sort-scores").stdout.endswith(note)
    assert scores_in(tmp_path / "sorted.csv") == [0.9, 0.2]
    assert run(*words, "--out", tmp_path / "a.parquet").stdout.endswith(note)
    again = (tmp_path / "sorted.csv", *words[1:], "--out", tmp_path / "again.csv", "--sort-scores")
    assert note not in run(*again).stdout


@pytest.mark.parametrize(("name", "numbers"), [("sides.csv", "xywh"), ("corners.json", "xyxy")])
def test_misread_boxes_are_repaired_when_asked(tmp_path, name, numbers):
    write_misread_files(tmp_path)
    words = (tmp_path / name, "--from", "predictions", "--images", tmp_path / "test.json")
    refused = run(*words, "--out", tmp_path / "a.parquet")
    assert (refused.exit_code, (tmp_path / "a.parquet").exists()) == (2, False)
    repaired = run(*words, "--out", tmp_path / "a.parquet", "--boxes", numbers)
    assert repaired.exit_code == 0, repaired.output
    assert f"  20 x boxes read as {NAMES[numbers]}\n" in repaired.stdout
    assert np.array_equal(read_predictions(tmp_path / "a.parquet").boxes_xyxy, BOXES_XYXY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["test.json", "--from", "coco", "--out", "b.json", "--boxes", "xywh"], "for predictions"),
        (
            [
                "a.parquet",
                "--from",
                "predictions",
                "--images",
                "test.json",
                "--out",
                "b.json",
                "--boxes",
                "xywh",
            ],
            "a Parquet prediction file holds corners",
        ),
        (["test.json", "--from", "coco", "--out", "b.json", "--sort-scores"], "for predictions"),
        (["nowhere", "--from", "coco", "--out", "b.json"], "the file does not exist"),
        (["test.json", "--from", "coco", "--out", "./test.json"], "would replace a file that is"),
        (["test.json", "--from", "coco", "--out", "b.xlsx"], "is no annotation format"),
        (["a.parquet", "--from", "predictions", "--out", "b.csv"], "are not given"),
        (["a.parquet", "--from", "predictions", "--out", "b.xlsx"], "is no prediction format"),
        (["test.json", "--from", "pascal", "--out", "b.json"], "'pascal' is not one of"),
        (["empty", "--from", "voc", "--out", "b.json"], "there is no XML file"),
        (["empty", "--from", "yolo", "--out", "b.json"], "the class names are not there"),
    ],
)
def test_mistakes_end_with_2(tmp_path, predictions, monkeypatch, arguments, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.glob("b.*"))


def test_a_table_with_words_for_numbers(tmp_path, predictions):
    header = "image_id,file_name,label,score,xmin,ymin,xmax,ymax\n"
    (tmp_path / "a.csv").write_text(header + "5,a.jpg,0,high,0,0,1,1\n")
    options = ("--from", "predictions", "--images", tmp_path / "test.json")
    result = run(tmp_path / "a.csv", *options, "--out", tmp_path / "b.parquet")
    assert result.exit_code == 2
    assert "`score` is 'high'" in result.stderr
    assert "a.csv, line 2" in result.stderr


@pytest.mark.parametrize("names", [("a.jpg", "a.png"), ("classes.jpg", "b.jpg")])
def test_images_that_would_share_a_label_file(tmp_path, names):
    content = coco_dict([image(k, name=name) for k, name in enumerate(names)])
    write_dict(tmp_path / "a.json", content)
    result = run(tmp_path / "a.json", "--from", "coco", "--out", tmp_path / "labels")
    assert result.exit_code == 2
    assert "would share the label file" in result.stderr
    assert not (tmp_path / "labels").exists()


def test_a_table_of_a_spreadsheet_is_read_packed_or_not(tmp_path):
    content = ("\ufeff" + SIZED + "a.jpg,can,1,2,11,22,100,80\n").replace("\n", "\r\n").encode()
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content))
    for name in ("a.csv", "a.csv.gz"):
        result = run(tmp_path / name, "--from", "csv", "--out", tmp_path / "a.json")
        assert result.exit_code == 0, result.output
        assert boxes_of(read_coco(tmp_path / "a.json")) == [("a.jpg", "can", (1, 2, 10, 20))]


def test_a_table_that_is_no_utf8_is_named(tmp_path, predictions):
    (tmp_path / "a.csv").write_bytes((SIZED + "ü.jpg,can,1,2,3,4,9,9\n").encode("latin-1"))
    for options in (("csv",), ("predictions", "--images", tmp_path / "test.json")):
        result = run(tmp_path / "a.csv", "--from", *options, "--out", tmp_path / "b.json")
        assert result.exit_code == 2
        assert "no UTF-8 text" in result.stderr


def test_converted_annotations_are_numbered_from_1(tmp_path):
    """pycocotools takes id 0 for "no match": its box would count as a miss."""
    (tmp_path / "a.csv").write_text(SIZED + "a.jpg,can,1,2,11,22,100,80\n")
    run(tmp_path / "a.csv", "--from", "csv", "--out", tmp_path / "a.json")
    assert read_coco(tmp_path / "a.json").annotation_ids.tolist() == [1]


def test_two_voc_files_of_one_image_are_named(tmp_path):
    (tmp_path / "xml").mkdir()
    for name in ("a.xml", "b.xml"):
        (tmp_path / "xml" / name).write_text(VOC)
    result = run(tmp_path / "xml", "--from", "voc", "--out", tmp_path / "a.json")
    assert result.exit_code == 2
    assert "the image 'a.jpg' stands there 2 times" in result.stderr


@pytest.mark.parametrize(
    ("classes", "label_file", "message"),
    [
        ("can\ncan\n", "a.txt", "the class 'can' stands there 2 times"),
        ("can\n", "images/a.txt", "1 label files belong to no image"),
    ],
)
def test_yolo_labels_that_would_be_lost(tmp_path, classes, label_file, message):
    write_images(tmp_path / "images", coco_from_dict(coco_dict([image(0, name="a.jpg")])))
    path = tmp_path / "labels" / label_file
    path.parent.mkdir(parents=True)
    path.write_text("0 .5 .5 .1 .1\n")
    (tmp_path / "labels/classes.txt").write_text(classes)
    result = run(
        tmp_path / "labels", "--from", "yolo", "--data", tmp_path / "images",
        "--out", tmp_path / "b.json",
    )  # fmt: skip
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_label_that_is_no_whole_number_is_not_cut_to_one(tmp_path, predictions):
    header = "image_id,file_name,label,score,xmin,ymin,xmax,ymax\n"
    (tmp_path / "a.csv").write_text(header + "5,a.jpg,7.6,0.5,0,0,1,1\n")
    options = ("--from", "predictions", "--images", tmp_path / "test.json")
    result = run(tmp_path / "a.csv", *options, "--out", tmp_path / "b.parquet")
    assert result.exit_code == 2
    assert "`label` is '7.6'" in result.stderr


def test_two_images_that_share_their_labels_are_named(tmp_path):
    images = [image(k, name=name) for k, name in enumerate(("a.jpg", "a.png", "b.jpg", "b.png"))]
    write_images(tmp_path / "images", coco_from_dict(coco_dict(images)))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/classes.txt").write_text("can\n")
    options = ("--from", "yolo", "--data", tmp_path / "images", "--out", tmp_path / "b.json")
    # Without boxes they share nothing.
    assert run(tmp_path / "labels", *options).exit_code == 0
    (tmp_path / "labels/a.txt").write_text("0 .5 .5 .1 .1\n")
    result = run(tmp_path / "labels", *options)
    assert result.exit_code == 2
    assert "a.png and a.jpg would share the label file a.txt" in result.stderr
